"""Flags of jobs/choose.py."""

import dataclasses
from typing import Literal

from attn.concepts.concept_config import Aggregation
from attn.stages.energy_config import EnergyConfig


@dataclasses.dataclass(frozen=True)
class ChooseOptions:
    weights: str
    """CNN that has learnt Web images of the classes: a checkpoint of train_cnn; local or s3://."""
    videos: str
    """Own videos, with and without labels: a folder tree, a folder of tar shards or a glob; local or s3://."""
    labels: str
    """Table of video_id, label and, if some videos belong together (one recording, one place), group; .csv or
    .parquet. Three videos of each class at least, in different groups; two with --map-source same_cnn."""
    out: str
    """Folder for model.safetensors, choice.json and, in compare/, everything that was compared; local or s3://."""
    images: str | None = None
    """The Web images, one folder per class: they are mixed into the batches when the CNN is fine-tuned."""
    parts: int = 3
    """Parts of the labelled videos; each is tested after trainings on the others. Groups stay whole."""
    adapt: bool = True
    """Adapt the CNN to all videos before any label is used; a CNN without BatchNorm is left as it is."""
    epochs: int | None = None
    """Passes over the frames of labelled videos when the CNN is fine-tuned (default: 10)."""
    energynet: EnergyConfig = dataclasses.field(default_factory=EnergyConfig)
    """Settings of the EnergyNets; their seed is --seed."""
    map_source: Literal["same_cnn", "out_of_fold"] | None = None
    """Training maps of the EnergyNets of fine-tuned CNNs, as in reproduce (default: out_of_fold)."""
    folds: int = 3
    """Folds of the training videos for --map-source out_of_fold."""
    word_vectors: str | None = None
    """Word vectors for the class names (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """How the words of a name become one vector (default: fisher with --word-vectors, else onehot)."""
    stride: int | None = None
    """Keep the frames 0, S, 2S, … (default: 5)."""
    seed: int = 0
    """Random state of all trainings."""
    allow_missing: bool = False
    """Leave out labelled videos that are not there."""
    max_failed_fraction: float = 0.01
    """Give up a step when a larger share of its videos cannot be read."""
    actors: tuple[int, int] | None = None
    """Smallest and largest number of CNN actors of a precompute (default: what fits)."""
    side_by_side: int | None = None
    """Steps at the same time (default: one per GPU, else one per four CPUs, two at least)."""
    dry_run: bool = False
    """Say what would be compared and do nothing."""
