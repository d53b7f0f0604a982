"""Settings for fine-tuning a CNN that the paper does not specify.

This module does not import torch, so that `--help` is fast: flags are derived from it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.training.recipe import PAPER, WithRecipe

Rgb = tuple[float, float, float]
LR, MIXED_LR = 3e-4, 1e-3
"""Defaults of `lr`: for frames only, and for frames mixed with Web images."""
DRAWN_LR, SCRATCH_LR = 3e-3, 1e-2
"""Defaults of `head_lr`: for a newly initialised classifier, and for a network trained from scratch."""
START_SHARE = 0.5
"""Default of `start_share` if the classifier is kept."""
CLIP_NORM = 1.0
"""Default of `clip_norm` with start weights. Networks trained from scratch are not clipped, because they have no
pretrained weights to lose and train faster without clipping."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(WithRecipe):
    """Settings of SGD and its learning rates.

    The defaults are robust to a large shift between the images of pretraining and those of fine-tuning: the first steps
    are small, and gradient clipping limits all steps. With the values of `paper`, about half of the training runs on
    other videos ended with a map layer of zeros.
    """

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "steady": {},
        PAPER: {
            "lr": 1e-3,
            "head_lr": 1e-2,
            "warmup": 0,
            "clip_norm": 0.0,
            "balanced": False,
            "start_share": 0.0,
            "epoch_updates": 1,
            "keep_by": "accuracy",
        },
    }

    recipe: Literal["steady", "paper"] = "steady"
    """steady: the defaults. The start weights are kept if no epoch is better. paper: plain SGD. It is equivalent to
    --lr 0.001, --head-lr 0.01, --warmup 0, --clip-norm 0, --start-share 0, --epoch-updates 1, --no-balanced and
    --keep-by accuracy, and the best epoch is kept."""
    lr: float | None = None
    """Learning rate of the pretrained layers (default: 0.0003; with --mix-images, which stabilise the training, 0.001).
    """
    head_lr: float | None = None
    """Learning rate of a newly initialised classifier, or of all layers without start weights (default: 0.003; without
    start weights 0.01)."""
    warmup: int = 50
    """Number of warm-up updates, in which both learning rates rise from 0; at most a quarter of all updates."""
    clip_norm: float | None = None
    """Maximum norm of the gradient of all weights; 0 disables clipping (default: 1; without start weights 0)."""
    start_share: float | None = None
    """Share of the start weights in the weighted average that is validated and saved, 0 to below 1. The default is 0.5
    if the start weights include the classifier, otherwise 0."""
    balanced: bool = True
    """Draw each class equally often in an epoch: images of small classes repeat, and large classes are subsampled."""
    epoch_updates: int | None = None
    """Minimum number of updates in an epoch. A smaller training set is repeated within an epoch (default: 30 on frames,
    1 on Web images)."""
    keep_by: Literal["loss", "accuracy"] | None = None
    """Figure of the validation that chooses the kept epoch (default: loss on frames, accuracy on Web images). Few
    videos are held out and the frames of one are alike, so accuracy moves in large steps there."""
    lr_decay_after: float = 2 / 3
    """Share of the updates after which both learning rates decay, 0 to 1; 1 disables the decay."""
    lr_decay: float = 0.1
    """Factor of both learning rates after that, above 0 and up to 1."""
    momentum: float = 0.9
    """SGD momentum."""
    weight_decay: float = 5e-4
    """L2 penalty."""
