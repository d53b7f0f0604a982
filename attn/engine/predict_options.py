"""Flags of jobs/predict.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    videos: str
    """Videos: a folder tree, a folder of tar shards, one file or a glob; local or s3://. They need no labels."""
    model: str
    """Model file that choose wrote, or a checkpoint of train_cnn or adapt_cnn; local or s3://."""
    out: str
    """Folder for predictions.csv and predictions.parquet, with many videos also their attention store; local or
    s3://."""
    method: Literal["cnn", "unatt"] | None = None
    """Method for a checkpoint. cnn: majority vote of the CNN's classes. unatt: window energy of the maps (default: cnn;
    a model file brings its own)."""
    stride: int = 5
    """Keep the frames 0, S, 2S, …"""
    fps: float | None = None
    """Keep this many frames a second, by time stamp, instead of a stride."""
    json: bool = False
    """Print JSON Lines instead of a table."""
    max_failed_fraction: float = 0.01
    """Exit with 3 when a larger share of the videos cannot be read."""
