"""Flags of jobs/evaluate.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    store: str
    """Attention store; local or s3://."""
    split: str
    """List of test videos: the data set's own (UCF101's testlistKK.txt, HMDB51's <class>_test_splitK.txt folder), lines
    `<video> <class>`, a csv or a parquet. Its labels make only the metrics: list videos without labels under any class,
    and read scores.parquet."""
    out: str
    """Folder for metrics.json and scores.parquet; local or s3://."""
    methods: tuple[Literal["cnn", "unatt", "energynet", "svm"], ...] = ("cnn", "unatt")
    """cnn: majority vote of the CNN's classes. unatt: window energy of the maps. energynet: learned energy of the maps.
    svm: linear SVMs on pooled features."""
    model: str | None = None
    """Model file that choose wrote: its method alone, in place of --methods and its flags. --store must be precomputed
    with it."""
    energynet: str | None = None
    """Folder that train_energynet wrote, for the method energynet."""
    train_split: str | None = None
    """List of training videos, for the method svm; the store must hold their features."""
    fraction: float = 1.0
    """Share of the training videos of each class to use, two at least, as in train_energynet."""
    svm_c: float = 1.0
    """C of the SVMs: weight of the errors on training frames against the size of the weights."""
    seed: int = 0
    """Random state of the fraction."""
    window: int = 3
    """Side of the energy window, in map cells."""
    calibrate: str | None = None
    """Attention store of unlabelled videos, of the same CNN as --store or --store itself; local or s3://. The mean and
    the standard deviation of each class's scores over its videos give each method, votes and SVMs apart, a second set
    of scores, <method>_calibrated. Supposes that the classes are roughly balanced among these videos. Videos that the
    CNN was fine-tuned on tell too good a story."""
    calibrate_lists: tuple[str, ...] = ()
    """Split lists: calibrate on the videos of --calibrate that one of them names, of HMDB51's lists the training videos
    (default: all of its videos). Their labels are not used."""
    allow_missing: bool = False
    """Score the videos the store has although the list names others."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
