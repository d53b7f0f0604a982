"""The flags of a search: those of `train_energynet`, and what and how is searched."""

import dataclasses
from typing import Literal

from attn.engine.options import TrainEnergyNetOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions(TrainEnergyNetOptions):
    out: str
    """Folder for the search: its trials, best.json, tables and pictures; local or s3://."""
    trials: int = 64
    """Configurations to try, those of earlier attempts counted."""
    resume: bool = False
    """Go on with the search in --out, after a kill or to add trials."""
    space: str = "all"
    """What is searched: all, margins, mining or network, or a JSON file such as {"lr": {"low": 1e-5, "high": 1e-2,
    "log": true}, "embedding_dim": {"values": [32, 64]}}. Settings that it does not name are those of the flags."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """tpe: draw more where it was good. random. grid: all combinations of a space that lists its values."""
    scheduler: Literal["asha", "none"] = "asha"
    """asha: stop a trial early that is not among the best quarter of those that came as far. none: train all to the
    end, as is always done with several --workers."""
    side_by_side: int | None = None
    """Trials at the same time at most (default: as many as the cluster has room for)."""
    gpus_per_trial: float | None = None
    """GPUs of a trial of one worker, 0 for the CPU; trials share a GPU at a fraction (default: 0.25 where the cluster
    has one)."""
    holdout_fraction: float = 0.3
    """Share of the training videos of each class held out to judge the trials: of many trials on few videos the best
    would be the luckiest."""
