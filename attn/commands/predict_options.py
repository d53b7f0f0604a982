"""Flags of jobs/predict.py."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from attn.methods import OF_CNN, OfCnn, summaries


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    WORDS: ClassVar[Mapping[str, str]] = {"methods": summaries(OF_CNN), "default": OF_CNN[0]}

    videos: str
    """Videos, labelled or not: a folder tree, a folder of tar shards, a file or a glob, local or s3://."""
    model: str
    """Model file that contains a CNN: one of choose, or a checkpoint of train_cnn or adapt_cnn; local or s3://."""
    out: str
    """Output folder, local or s3://, for predictions.csv and predictions.parquet. For more than 32 videos, the job also
    writes an attention store there."""
    method: OfCnn | None = None
    """Method for a checkpoint: {methods} (default: {default}). A model file of choose contains its own method."""
    stride: int = 5
    """Sampling stride S: use frames 0, S, 2S, …"""
    fps: float | None = None
    """Sampling rate in frames per second, by time stamp; replaces --stride (default: sample by --stride)."""
    json: bool = False
    """Print JSON Lines instead of a table."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos, 0 to 1; if more are unreadable, the job exits with code 3."""
