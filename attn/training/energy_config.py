"""Settings for training an EnergyNet, both those given in the paper and those it leaves open.

This module does not import torch, so that `--help` is fast: flags are derived from it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from attn.errors import UsageError, refuse_flag
from attn.settings import Point, Settings
from attn.training.recipe import PAPER, WithRecipe, check_recipe

WINDOW = 3
"""s: side of the window of the window energy in residual networks, in map cells; limited by the map."""
START_VIDEOS = 50
"""n0: number of training videos at which UnAtt and the learned energy have equal shares by default.

The learned share n / (n + n0) grows with the number n of training videos, as in shrinkage estimators. The fewer videos
are labelled, the more do out-of-fold maps, of a CNN fine-tuned on fewer still, differ from the maps that are scored,
and held-out videos do not show that difference. In 12 trainings on 6 to 33 clips of three sports, a share of one half
lost 2.1 points against UnAtt and this one 0.1; in 3 on 16 to 64 rendered videos, they gained 9.5 and 7.1 points.
"""
BEFORE_SHRINKAGE = 0.5
"""Default of `start_share` before it depended on the number of videos."""
WITH_RECIPES = ("recipe", "residual", "start_share", "mirror", "centre", "semi_hard")
"""Settings introduced together with recipes; records of older training runs lack them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyConfig(WithRecipe, Settings):
    """Settings of network, losses, mining and length of training. The paper gives m, β, d, lr and weight decay."""

    NAME: ClassVar[str] = "energynet"
    NOT_SEARCHED: ClassVar[tuple[str, ...]] = (
        *("recipe", "seed", "updates", "look_every", "patience", "holdout_fraction"),
    )
    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "steady": {},
        PAPER: {
            "residual": False,
            "start_share": 0.0,
            "mirror": False,
            "centre": False,
            "semi_hard": False,
            "lr": 1e-4,
            "weight_decay": 5e-4,
            "updates": 20_000,
            "look_every": 500,
        },
    }
    FREE: ClassVar[frozenset[str]] = frozenset({"updates", "look_every"})

    recipe: Literal["steady", "paper"] = "steady"
    """steady: for few labels. It starts from UnAtt, and the start is kept unless a later checkpoint is better on
    held-out videos. paper: the paper's plain training, without the next five settings, with a learning rate of 0.0001
    and a weight decay of 0.0005."""
    residual: bool = True
    """Add the learned energy to the window energy, so that the untrained network is equivalent to UnAtt."""
    start_share: float | None = None
    """S: share of UnAtt in the residual network that is validated and saved, 0 to below 1. The learned energy is
    weighted by 1 - S (default: 50 / (50 + number of training videos))."""
    mirror: bool = True
    """Mirror the maps of every other sample left to right."""
    centre: bool = True
    """Centre the initial embeddings of true maps at zero. Otherwise all point in one direction, and the triplet loss
    has little effect."""
    semi_hard: bool = True
    """Ignore triplets whose negative is nearer than their positive, until the number of candidates is raised."""
    energy_margin: float = 1.0
    """m: margin by which the energy of the true class should exceed the others."""
    triplet_margin: float = 0.5
    """β: margin, in cosine distance (0 to 2), by which other classes should be farther away than the same class."""
    triplet_weight: float = 1.0
    """λ: weight of the triplet loss relative to the ranking loss; 0 disables it."""
    embedding_dim: int = 64
    """d: dimension of the embeddings."""
    hidden_dim: int = 128
    """Width of the first layer."""
    normalise_embedding: bool = False
    """Normalise embeddings to length 1 before the energy head."""
    map_scale: Literal["rms", "none"] = "rms"
    """rms: divide all maps by the root mean square of the training maps. none: do not scale maps."""
    candidates_initial: int = 128
    """M0: initial number of random candidates from which the hardest are chosen."""
    candidates_final: int = 512
    """M1: number of candidates after the loss of random samples has fallen below the threshold."""
    num_hard: int = 64
    """K_h: number of hardest candidates used in an update."""
    num_random: int = 8
    """R: number of additional random samples used in every update."""
    rank_by: Literal["joint", "ranking"] = "joint"
    """Loss by which the hardest candidates are chosen. joint: the training loss. ranking: only the ranking loss."""
    switch_threshold: float = 0.25
    """τ: threshold of the mean ranking loss of random samples, in units of m."""
    monitor_smoothing: float = 0.98
    """Smoothing factor of that loss (exponential moving average over updates), 0 to below 1."""
    lr: float = 1e-3
    """Learning rate of SGD."""
    momentum: float = 0.9
    """SGD momentum."""
    weight_decay: float = 0.03
    """L2 penalty. It pulls a residual network back towards UnAtt."""
    updates: int = 2000
    """Maximum number of updates."""
    look_every: int = 100
    """Updates between two validations on the held-out videos; each validation writes a row of metrics and a
    checkpoint."""
    patience: int = 10
    """Number of consecutive validations clearly worse than the best one after which training stops; 0 disables early
    stopping."""
    holdout_fraction: float = 0.1
    """Share of the training videos of each class held out for early stopping; at least two remain for training."""
    seed: int = 0
    """Random seed of the fraction, the held-out videos, the initial weights and all samples."""

    def check(self) -> None:
        """Check all settings.

        Raises:
            UsageError: a setting is out of range or contradicts the recipe; the message names the first one.
        """
        check_recipe(self)
        for name in ("embedding_dim", "hidden_dim", "candidates_initial", "num_hard", "updates", "look_every"):
            refuse_flag(name, getattr(self, name), "must be at least 1", getattr(self, name) < 1)
        for name in ("num_random", "patience", "seed", "triplet_weight", "weight_decay"):
            refuse_flag(name, getattr(self, name), "must be 0 or more", not 0 <= getattr(self, name) < float("inf"))
        for name in ("energy_margin", "lr", "switch_threshold"):
            refuse_flag(name, getattr(self, name), "must be above 0", not 0 < getattr(self, name) < float("inf"))
        refuse_flag("triplet_margin", self.triplet_margin, "must be from 0 to 2", not 0 <= self.triplet_margin <= 2)
        for name in ("momentum", "monitor_smoothing", "holdout_fraction", "start_share"):
            value = getattr(self, name) or 0.0
            refuse_flag(name, value, "must be from 0 to below 1", not 0 <= value < 1)
        refuse_flag(
            "candidates_final",
            self.candidates_final,
            f"must be at least --candidates-initial ({self.candidates_initial})",
            self.candidates_final < self.candidates_initial,
        )
        refuse_flag(
            "num_hard",
            self.num_hard,
            f"must be at most --candidates-initial ({self.candidates_initial})",
            self.num_hard > self.candidates_initial,
        )

    def settle(self, point: Mapping[str, Any]) -> Point:
        """Adjust a point so that K_h ≤ M0 ≤ M1: a larger K_h or a smaller M1 becomes M0."""
        drawn = {name: point.get(name, getattr(self, name)) for name in ("num_hard", "candidates_final")}
        initial = point.get("candidates_initial", self.candidates_initial)
        bound = {
            "num_hard": min(drawn["num_hard"], initial),
            "candidates_final": max(drawn["candidates_final"], initial),
        }
        return {**point, **{name: value for name, value in bound.items() if name in point or value != drawn[name]}}

    def check_ends(self, ends: Callable[[str], tuple[Any, ...]]) -> None:
        """Check that a search space has a point with K_h ≤ M0 ≤ M1.

        Raises:
            UsageError: it has none.
        """
        initial = ends("candidates_initial")
        if (hard := min(ends("num_hard"))) > max(initial):
            raise UsageError(
                f"num_hard: at least {hard}, above the largest candidates_initial, {max(initial)}. Change one of them "
                "so that K_h ≤ M0."
            )
        if (final := max(ends("candidates_final"))) < min(initial):
            raise UsageError(
                f"candidates_final: at most {final}, below the smallest candidates_initial, {min(initial)}. Change one "
                "of them so that M0 ≤ M1."
            )


def start_share(config: EnergyConfig, videos: int) -> float:
    """Share of UnAtt in a residual network trained on so many videos; 0 without a residual network."""
    if not config.residual:
        return 0.0
    return START_VIDEOS / (START_VIDEOS + videos) if config.start_share is None else config.start_share
