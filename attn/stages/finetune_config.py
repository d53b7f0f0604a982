"""How the weights of a CNN are changed: the numbers that the paper leaves open.

No torch: `attn.engine.options` makes flags of it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.stages.recipe import PAPER, WithRecipe

LR, MIXED_LR = 3e-4, 1e-3
"""Rates that `lr` means if it is left out: on frames alone, and beside Web images."""
DRAWN_LR, SCRATCH_LR = 3e-3, 1e-2
"""Rates that `head_lr` means if it is left out: of a newly drawn classifier, and of a network drawn as a whole."""
START_SHARE = 0.5
"""Value of `start_share` if it is left out and the classifier is kept."""
CLIP_NORM = 1.0
"""What `clip_norm` means if it is left out beside start weights. A network drawn as a whole has nothing to lose, and
learns faster without."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(WithRecipe):
    """SGD and its rates.

    The defaults survive a large shift between the images that the start weights know and those that are learnt: first
    steps are small, no step is longer than the clipped gradient allows. With the values of `paper` about every second
    training on other footage ended with a map layer of zeros.
    """

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "steady": {},
        PAPER: {"lr": 1e-3, "head_lr": 1e-2, "warmup": 0, "clip_norm": 0.0, "balanced": False, "start_share": 0.0},
    }

    recipe: Literal["steady", "paper"] = "steady"
    """steady: the defaults, and the start is kept if no epoch is better. paper: plain SGD, which is --lr 0.001,
    --head-lr 0.01, --warmup 0, --clip-norm 0, --start-share 0 and --no-balanced; the best epoch is kept."""
    lr: float | None = None
    """Learning rate of the pretrained layers (default: 0.0003; with --mix-images, which hold the network back, 0.001).
    """
    head_lr: float | None = None
    """Learning rate of a newly drawn classifier, and of every layer when there are no start weights (default: 0.003;
    without start weights 0.01)."""
    warmup: int = 50
    """Updates over which both rates rise from 0, a quarter of all updates at most; 0: none."""
    clip_norm: float | None = None
    """Length of the gradient of all weights from which on it is shortened to this length; 0: never (default: 1; without
    start weights 0)."""
    start_share: float | None = None
    """Share of the start weights in those that are validated and kept, the mean of both, 0 to below 1 (default: 0.5 if
    the start knows the classes, else 0)."""
    balanced: bool = True
    """Draw each class equally often in an epoch: pictures of small classes repeat, some of large ones wait."""
    lr_decay_after: float = 2 / 3
    """Share of the updates after which both rates fall, 0 to 1; 1: never."""
    lr_decay: float = 0.1
    """What is left of them then, above 0 and up to 1."""
    momentum: float = 0.9
    """SGD momentum."""
    weight_decay: float = 5e-4
    """L2 penalty."""
