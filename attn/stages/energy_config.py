"""Settings of the training of an EnergyNet: every number that the paper gives, and every one that it leaves open.

No torch: `attn.engine.options` makes flags of it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.errors import UsageError
from attn.stages.recipe import PAPER, WithRecipe, check_recipe

WINDOW = 3
"""s: side of the window that a residual network starts from, in map cells; smaller maps have a smaller one."""
WITH_RECIPES = ("recipe", "residual", "start_share", "mirror", "centre", "semi_hard")
"""Settings that came with the recipes: a training begun before them has none of these in its record."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyConfig(WithRecipe):
    """Network, losses, mining and length of a training. The paper gives m, β, d, lr and weight decay."""

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
    """steady: made for few labels: it starts from UnAtt, and keeps that start unless held-out videos say that an update
    is better. paper: the paper's plain training, without the five settings below, with its learning rate of 0.0001 and
    weight decay of 0.0005."""
    residual: bool = True
    """Start from the window energy, so that before the first update the method is UnAtt."""
    start_share: float = 0.5
    """Share of UnAtt in the residual network that is validated and kept: what it adds counts 1 - S, 0 to below 1."""
    mirror: bool = True
    """Mirror the maps of every other sample left to right."""
    centre: bool = True
    """Start with embeddings of mean zero over true maps: otherwise all point one way and the triplet loss says
    little."""
    semi_hard: bool = True
    """Until the candidates become more, leave out triplets whose negative is nearer than their positive."""
    energy_margin: float = 1.0
    """m: by how much the energy of the true class should be ahead."""
    triplet_margin: float = 0.5
    """β: by how much, in cosine distance (0 to 2), another class should be farther away than the same class."""
    triplet_weight: float = 1.0
    """λ: weight of the triplet loss beside the ranking loss; 0 leaves it out."""
    embedding_dim: int = 64
    """d: numbers of an embedding."""
    hidden_dim: int = 128
    """Width of the first layer."""
    normalise_embedding: bool = False
    """Give embeddings length 1 before the energy is read off them."""
    map_scale: Literal["rms", "none"] = "rms"
    """rms: maps are divided by one number, the root mean square of the training maps. none: taken as they are."""
    candidates_initial: int = 128
    """M0: random samples among which the hardest are looked for, at first."""
    candidates_final: int = 512
    """M1: the same, once the loss of random samples has fallen below the threshold."""
    num_hard: int = 64
    """K_h: how many of them are learnt from."""
    num_random: int = 8
    """R: further random samples that are learnt from in every update."""
    rank_by: Literal["joint", "ranking"] = "joint"
    """What the hardest have most of. joint: the loss that is learnt from. ranking: the ranking loss alone."""
    switch_threshold: float = 0.25
    """τ: threshold of the mean ranking loss of random samples, in units of m."""
    monitor_smoothing: float = 0.98
    """How much of that loss is kept from one update to the next, 0 to below 1, before it is compared."""
    lr: float = 1e-3
    """Learning rate of SGD."""
    momentum: float = 0.9
    """SGD momentum."""
    weight_decay: float = 0.03
    """L2 penalty. It draws a residual network back to UnAtt."""
    updates: int = 2000
    """Updates at most."""
    look_every: int = 100
    """Updates between two looks at the held-out videos; every look is a row of metrics and a checkpoint."""
    patience: int = 10
    """Looks in a row clearly worse than the best one, after which the training ends; 0: only with the last update."""
    holdout_fraction: float = 0.1
    """Share of the training videos of each class held out to tell when to stop; two always stay to learn from."""
    seed: int = 0
    """Random state of the fraction, the held-out videos, the first weights and all samples."""

    def check(self) -> None:
        """Refuses what cannot be trained.

        Raises:
            UsageError: the first flag that is out of its range, or contradicts the recipe.
        """
        check_recipe(self)
        for name in ("embedding_dim", "hidden_dim", "candidates_initial", "num_hard", "updates", "look_every"):
            _refuse(name, getattr(self, name), "give 1 or more", getattr(self, name) < 1)
        for name in ("num_random", "patience", "seed", "triplet_weight", "weight_decay"):
            _refuse(name, getattr(self, name), "give 0 or more", not 0 <= getattr(self, name) < float("inf"))
        for name in ("energy_margin", "lr", "switch_threshold"):
            _refuse(name, getattr(self, name), "give a number above 0", not 0 < getattr(self, name) < float("inf"))
        _refuse("triplet_margin", self.triplet_margin, "give a number from 0 to 2", not 0 <= self.triplet_margin <= 2)
        for name in ("momentum", "monitor_smoothing", "holdout_fraction", "start_share"):
            _refuse(name, getattr(self, name), "give a number from 0 to below 1", not 0 <= getattr(self, name) < 1)
        _refuse(
            "candidates_final",
            self.candidates_final,
            f"give as many as --candidates-initial ({self.candidates_initial}) or more",
            self.candidates_final < self.candidates_initial,
        )
        _refuse(
            "num_hard",
            self.num_hard,
            f"no more can be kept than the {self.candidates_initial} of --candidates-initial",
            self.num_hard > self.candidates_initial,
        )


def _refuse(name: str, value: object, way_out: str, wrong: bool) -> None:
    if wrong:
        raise UsageError(f"--{name.replace('_', '-')} {value}: {way_out}")
