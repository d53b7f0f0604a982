"""Flags of jobs/choose.py."""

import dataclasses
from typing import Literal

from attn.concepts.concept_config import Aggregation
from attn.training.energy_config import EnergyConfig


@dataclasses.dataclass(frozen=True)
class ChooseOptions:
    weights: str
    """Checkpoint of a CNN that train_cnn trained on Web images of the classes, local or s3://."""
    videos: str
    """Your videos, with and without labels: a folder tree, a folder of tar shards or a glob, local or s3://."""
    labels: str
    """Labels: a .csv or .parquet table with the columns video_id, label and optionally group. Videos of one recording
    or place belong to one group. Each class needs at least three videos in different groups; two with --map-source
    same_cnn."""
    out: str
    """Output folder for model.safetensors, choice.json and, in compare/, all compared methods; local or s3://."""
    images: str | None = None
    """Web images, one folder per class, mixed into the batches when the CNN is fine-tuned (default: none)."""
    parts: int = 3
    """Number of parts of the cross-validation; each is tested by trainings on the others. Groups are never split."""
    adapt: bool = True
    """Adapt the CNN to all videos before any label is used. A CNN without BatchNorm is left unchanged."""
    epochs: int | None = None
    """Passes over the frames of labelled videos when the CNN is fine-tuned (default: 10)."""
    energynet: EnergyConfig = dataclasses.field(default_factory=EnergyConfig)
    """Settings of the EnergyNets; their seed is --seed."""
    map_source: Literal["same_cnn", "out_of_fold"] | None = None
    """Source of the EnergyNets' training maps for fine-tuned CNNs, as in reproduce (default: out_of_fold)."""
    folds: int = 3
    """Number of folds of the training videos for --map-source out_of_fold."""
    word_vectors: str | None = None
    """Word vectors for the class names (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """Aggregation of the word vectors of a class name (default: fisher with --word-vectors, otherwise onehot)."""
    stride: int | None = None
    """Sampling stride S: use frames 0, S, 2S, … (default: 5)."""
    seed: int = 0
    """Random seed of all trainings."""
    allow_missing: bool = False
    """Leave out labelled videos that are missing from --videos."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos in a step, 0 to 1; if more are unreadable, the step fails."""
    actors: tuple[int, int] | None = None
    """Minimum and maximum number of CNN actors of a precompute (default: as many as fit)."""
    side_by_side: int | None = None
    """Maximum number of concurrent steps (default: one per GPU, otherwise one per four CPUs, at least two)."""
    dry_run: bool = False
    """Report the methods to be compared, and exit."""
