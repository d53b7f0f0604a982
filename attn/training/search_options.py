"""Flags of tune/search.py: those of the training of a model, and those of the search."""

import dataclasses
from typing import Literal

from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.tsrnet_options import TrainTsrnetOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchFlags:
    trials: int = 64
    """Number of configurations to try, including those of earlier runs."""
    resume: bool = False
    """Resume the search in --out after an interruption, or to add trials."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """Sampler. tpe: tree-structured Parzen estimator. random: independent draws. grid: all combinations of a space that
    lists its values."""
    scheduler: Literal["asha", "none"] = "asha"
    """Early stopping of trials. At 1/16 and 1/4 of the updates, asha stops all but the best quarter. With none, all
    trials train to the end, as is always done with several --workers."""
    side_by_side: int | None = None
    """Maximum number of trials in parallel (default: as many as fit on the cluster)."""
    gpus_per_trial: float | None = None
    """GPUs per trial of one worker. With 0, trials run on the CPU; with a fraction, they share a GPU (default: 0.25 if
    the cluster has a GPU, else 0)."""
    holdout_fraction: float = 0.3
    """Share of each class's training videos held out for validation. If it is small, the best of many trials is mostly
    the luckiest."""
    out: str
    """Output folder for trials, best.json, tables and plots; local or s3://."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions(SearchFlags, TrainEnergyNetOptions):
    model: Literal["energynet", "soft_attention", "tsrnet"] = "energynet"
    """Model whose settings are searched; --model soft_attention --help lists the flags of another one."""
    space: str = "all"
    """Search space. One of all, margins, mining and network, or a JSON file such as {"lr": {"low": 1e-5, "high": 1e-2,
    "log": true}, "embedding_dim": {"values": [32, 64]}}. All other settings are taken from the flags."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSoftAttentionOptions(SearchFlags, TrainSoftAttentionOptions):
    model: Literal["soft_attention"]
    """Model whose settings are searched. Without this flag, it is an EnergyNet."""
    space: str = "all"
    """Search space. One of all, attention and network, or a JSON file such as {"lr": {"low": 1e-5, "high": 1e-2, "log":
    true}, "hidden_dim": {"values": [256, 512]}}. All other settings are taken from the flags."""
    cache: str | None = None
    """Local folder on each machine for the grids, which all trials map (default: --out/cache if --out is local)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTsrnetOptions(SearchFlags, TrainTsrnetOptions):
    model: Literal["tsrnet"]
    """Model whose settings are searched. Without this flag, it is an EnergyNet."""
    space: str = "all"
    """Search space. One of all, attention and network, or a JSON file such as {"lr": {"low": 1e-5, "high": 1e-1, "log":
    true}, "hidden_dim": {"values": [256, 512]}}. All other settings are taken from the flags."""
    cache: str | None = None
    """Local folder on each machine for the features, which all trials map (default: --out/cache if --out is local)."""


AnySearchOptions = SearchOptions | SearchSoftAttentionOptions | SearchTsrnetOptions
