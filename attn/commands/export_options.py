"""Flags of jobs/export.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    store: str
    """Attention store, local or s3://."""
    to: Literal["npy", "csv", "h5"]
    """Format of the files. With npy, one per video and column, and one of its time stamps. With csv, one table with the
    logits of each frame. With h5, the four files of the released soft-attention code, from the column grid."""
    out: str
    """Output folder, local or s3://; existing files of the same names are replaced."""
    split: str | None = None
    """List of the videos to export (default: all videos; required for h5, whose labels it gives)."""
    part: Literal["train", "test"] = "test"
    """Part to read from a list that contains both, and prefix of the files for h5."""
    columns: tuple[Literal["maps", "logits", "features", "grid"], ...] | None = None
    """Columns for npy (default: all columns of the store)."""
    allow_missing: bool = False
    """Export the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
