"""Options of an EnergyNet's training; the docstring of a field is the help text of its flag."""

import dataclasses

from attn.concepts.concept_config import ConceptConfig
from attn.training.energy_config import EnergyConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainEnergyNetOptions(EnergyConfig, ConceptConfig):
    config: str | None = None
    """Settings found by a search (best.json), used in place of the defaults; local or s3://. Flags override the
    file."""
    store: str
    """Attention store that holds the training videos, local or s3://."""
    out_of_fold: tuple[str, ...] = ()
    """Attention stores with out-of-fold maps of the training videos (default: train on --store, as the paper does).
    Each is made by a CNN that was not fine-tuned on the videos in it; together they hold all training videos."""
    split: str
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's trainlistKK.txt and the folder of HMDB51's lists."""
    out: str
    """Output folder for the EnergyNet, its metrics and its report, local or s3://."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, at least two. Smaller shares are subsets of larger ones."""
    workers: int = 1
    """Number of Ray Train workers."""
    gpu: bool | None = None
    """Use one GPU per worker (default: if the cluster has a GPU)."""
    map_memory_gb: float | None = None
    """Memory for the maps of one worker, in GB (default: half of the machine's available memory, shared by its
    workers)."""
    allow_untrained: bool = False
    """Exit with code 0 even if the training has learnt nothing."""
    allow_missing: bool = False
    """Train on the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
