"""Flags of jobs/evaluate.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    store: str
    """Attention store, local or s3://."""
    split: str
    """List of test videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's testlistKK.txt and HMDB51's folder of <class>_test_splitK.txt. Labels are only used for the metrics: list
    unlabelled videos under any class, and read scores.parquet."""
    out: str
    """Output folder for metrics.json and scores.parquet, local or s3://."""
    methods: tuple[Literal["cnn", "unatt", "energynet", "svm"], ...] = ("cnn", "unatt")
    """Methods: cnn (majority vote of the CNN), unatt (window energy), energynet (learned energy), svm (linear SVMs on
    pooled features)."""
    model: str | None = None
    """Model file written by choose, evaluated in place of --methods and its flags. --store must be precomputed with
    it."""
    energynet: str | None = None
    """Folder written by train_energynet, for the method energynet."""
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
    calibrate: str | None = None
    """Attention store of unlabelled videos, local or s3://, made with the CNN of --store; may be --store itself. The
    scores of each class are standardised by their mean and standard deviation over these videos. This adds a second set
    of scores, <method>_calibrated, to each method except votes and SVMs. It assumes roughly balanced classes. Videos
    that the CNN was fine-tuned on make the result too optimistic."""
    calibrate_lists: tuple[str, ...] = ()
    """Split lists: calibrate only on videos of --calibrate named in at least one of them (default: all videos).
    HMDB51's lists select their training videos. Labels are not used."""
    allow_missing: bool = False
    """Score the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
