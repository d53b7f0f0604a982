"""Flags of jobs/evaluate.py."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import ClassVar

from attn.methods import CHOICES, Choice, summaries

DEFAULT_METHODS = ("cnn", "unatt")


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Options of the job. `reproduce` identifies finished evaluations by them: a new field or default redoes them."""

    LATER: ClassVar[Collection[str]] = ("attention", "boxes", "box_threshold")
    WORDS: ClassVar[Mapping[str, str]] = {"methods": summaries(CHOICES), "default": " ".join(DEFAULT_METHODS)}

    store: str
    """Attention store, local or s3://."""
    split: str
    """List of test videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's testlistKK.txt and HMDB51's folder of <class>_test_splitK.txt. A table may give a video several classes or
    none, in a column named labels or with columns start_s and end_s; the metrics are then mAP and Hit@k. Labels are
    only used for the metrics: list unlabelled videos under any class, and read scores.parquet."""
    out: str
    """Output folder for metrics.json and scores.parquet, local or s3://."""
    methods: tuple[Choice, ...] | None = None
    """Methods: {methods} (default: {default}; with --model, none)."""
    model: tuple[str, ...] | None = None
    """Model files of any kind, each as NAME=URL or URL. NAME is the name of its scores (default: its kind, or for a
    model file of choose, its method). A URL may be the folder of a training, such as train_energynet's or
    train_soft_attention's. --store must have the fingerprint of the store that the model was trained on, or be
    precomputed with the model."""
    energynet: str | None = None
    """Folder written by train_energynet, for the method energynet. --model takes it too."""
    train_split: str | None = None
    """List of training videos, for the method svm; the store must contain their features."""
    fraction: float = 1.0
    """Share of the training videos of each class to use, at least two, as in train_energynet."""
    svm_c: float = 1.0
    """Regularisation parameter C of the SVMs: weight of training errors relative to the size of the weights."""
    seed: int = 0
    """Random seed of the fraction."""
    window: int = 3
    """Side of the energy window, in map cells."""
    attention: bool = False
    """Write attention.parquet, with the attention weights of each frame by each soft-attention LSTM of --model."""
    boxes: str | None = None
    """Folder of boxes of the action: <video_id>.json, or ViPER's <video_id>.xgtf. With --attention, or for the maps of
    a clip store, the metrics then say how well the attention finds the boxes, and localisation.csv says it of each
    video."""
    box_threshold: float = 0.5
    """Share of a map's maximum from which a pixel belongs to its region, whose box is compared with --boxes. Choose it
    on training videos."""
    calibrate: str | None = None
    """Attention store of unlabelled videos, local or s3://, made with the CNN of --store; may be --store itself. The
    scores of each class are standardised by their mean and standard deviation over these videos. This adds a second set
    of scores, <method>_calibrated, to each method except votes and SVMs. It assumes roughly balanced classes. Videos
    of --train-split are left out: a CNN that was fine-tuned on them scores them unlike others."""
    calibrate_lists: tuple[str, ...] = ()
    """Split lists: calibrate only on videos of --calibrate named in at least one of them (default: all videos).
    HMDB51's lists select their training videos. Labels are not used."""
    allow_missing: bool = False
    """Score the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""

    @property
    def chosen_methods(self) -> tuple[str, ...]:
        """Methods of `--methods`, or the default ones."""
        if self.methods is None:
            return () if self.model else DEFAULT_METHODS
        return self.methods
