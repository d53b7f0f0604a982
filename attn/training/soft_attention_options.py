"""Options of a soft-attention LSTM's training; the docstring of a field is the help text of its flag."""

import dataclasses

from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.training.worker_options import WorkerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSoftAttentionOptions(WorkerOptions, SoftAttentionConfig):
    config: str | None = None
    """Settings found by a search (best.json), used in place of the defaults; local or s3://. Flags override the
    file."""
    store: str
    """Attention store with the column grid of the training videos, local or s3://."""
    split: str
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. In a table with the
    column labels, videos may have several classes or none."""
    out: str
    """Output folder for the network, its metrics and its report, local or s3://."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, at least two. Smaller shares are subsets of larger ones."""
    workers: int = 1
    """Number of Ray Train workers. Without dropout, any number learns the same; each draws the dropout masks of its own
    windows."""
    cache: str | None = None
    """Local folder on each machine for the grids, which are memory-mapped. It holds those of all videos of the store,
    for all trainings on it (default: a temporary folder with those of the training's videos)."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
