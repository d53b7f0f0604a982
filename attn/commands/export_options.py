"""Flags of jobs/export.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    store: str
    """Attention store, local or s3://."""
    to: Literal["npy", "csv", "h5", "fiftyone"]
    """Format of the files. With npy, one per video and column, and one of its time stamps. With csv, one table with the
    logits of each frame. With h5, the four files of the released soft-attention code, from the column grid. With
    fiftyone, a data set of FiftyOne with classes and heat maps of the frames of local videos."""
    out: str
    """Output folder, local or s3://; existing files of the same names are replaced. For fiftyone, a new local
    folder."""
    split: str | None = None
    """List of the videos to export (default: all videos; required for h5, whose labels it gives)."""
    part: Literal["train", "test"] = "test"
    """Part to read from a list that contains both, and prefix of the files for h5."""
    columns: tuple[Literal["maps", "logits", "features", "grid"], ...] | None = None
    """Columns for npy (default: all columns of the store)."""
    videos: str | None = None
    """Videos for fiftyone, if they have moved since precompute."""
    allow_missing: bool = False
    """Export the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
