"""Flags of jobs/verify.py."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    store: str
    """Attention store or frame store; local or s3://."""
    videos: str | None = None
    """The videos that the store must hold, as given to precompute: tells which are missing (default: compare with what
    the run noted when it ended)."""
    lists: tuple[str, ...] = ()
    """Split lists, as given to precompute: of --videos, those that one of them names."""
    max_failed_fraction: float = 0.01
    """Exit with 1 when a larger share of the videos failed."""
    deep: bool = False
    """Read every byte and check its checksum, not only the small columns."""
    repair: bool = False
    """Move unreadable parts to _damaged/, take out rows that stand twice or of videos that lack some: the next run of
    the same precompute then completes the store."""
