"""Flags of jobs/verify.py."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    store: str
    """Attention, flow or frame store, local or s3://."""
    videos: str | None = None
    """Videos that the store must hold, as given to precompute (default: those in the record of the last run). Missing
    ones are reported."""
    lists: tuple[str, ...] = ()
    """Split lists, as given to precompute: only videos of --videos named in at least one of them are required."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of failed videos, 0 to 1; if more failed, the job exits with code 1."""
    deep: bool = False
    """Read every byte and verify its checksum, not only the small columns."""
    repair: bool = False
    """Move unreadable parts to _damaged/ and remove duplicate rows and rows of incomplete videos. The next run of the
    same precompute then completes the store."""
