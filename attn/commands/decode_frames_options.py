"""Flags of jobs/decode_frames.py."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeFramesOptions:
    videos: str
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    lists: tuple[str, ...]
    """Split lists: decode only videos named in at least one of them."""
    out: str
    """Frame store to create or complete, local or s3://."""
    input_size: int
    """Side of the square frames, in pixels."""
    stride: int = 1
    """Sampling stride S: use frames 0, S, 2S, …"""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos, 0 to 1; if more are unreadable, the job exits with code 3."""
    preprocessing: str | None = None
    """Preprocessing of the frames, as in the manifest of a store (default: centred square, bilinear)."""
