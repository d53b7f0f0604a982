"""Settings for training a TSRNet: values of the paper, otherwise of public code.

This module imports neither torch nor numpy, because flags are derived from it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.errors import refuse_flag
from attn.settings import Point, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class TsrnetConfig(Settings):
    """Settings of network, loss, samples, optimizer and length of training. The loss is L_class + α R_smooth + β
    R_sparsity on the untrimmed videos, plus γ (L_FC1 + L_FC2) between both kinds."""

    NAME: ClassVar[str] = "tsrnet"
    NOT_SEARCHED: ClassVar[tuple[str, ...]] = (
        *("num_samples", "batch", "updates", "look_every", "holdout_fraction", "seed"),
    )

    attention: Literal["softmax", "sigmoid", "average"] = "softmax"
    """Weights of a video's samples. With softmax, they add up to 1, as in the paper. With sigmoid, each is between 0
    and 1, as in STPN. With average, they are equal, which is the paper's Two-Stream baseline."""
    attention_dim: int = 256
    """d_a: width of the hidden layer of the attention. The paper does not give it; 256 is STPN's."""
    hidden_dim: int = 512
    """Width of the layer FC1 in front of the classifier. The paper does not give it."""
    dropout: float = 0.8
    """Probability of dropping a unit of FC1, 0 to below 1. The paper's 0.8 may also be the probability of keeping it;
    that is 0.2 here."""
    smoothness: float = 0.1
    """α: weight of the squared differences of neighbouring attention weights. The paper does not give it. The term is
    small for diffuse attention, so values up to 10000 are of use."""
    sparsity: float = 0.0001
    """β: weight of the sum of the attention weights, as in STPN. With softmax, the sum is always 1 and β has no
    effect."""
    transfer: float = 1.0
    """γ: weight of the discrepancy between trimmed and untrimmed videos; needs --trimmed. The paper has no such weight,
    that is 1."""
    kernel: Literal["gaussian", "multi"] = "gaussian"
    """Kernel of the discrepancy. With gaussian, one Gaussian. With multi, the sum of five, whose variances are a
    quarter to four times as large."""
    estimate: Literal["biased", "unbiased"] = "biased"
    """Form of the discrepancy. The biased one is the paper's; it does not reach 0, so its floor is logged beside it.
    The unbiased one leaves out the kernels of a video with itself; it may be negative."""
    trimmed_ce: bool = False
    """Classify trimmed videos in training too; the paper does not say so."""
    num_samples: int | Literal["all"] = 400
    """n: number of stored frames of a video that the network reads; 400 is STPN's. They are on a uniform grid, which is
    perturbed in training. With all, every stored frame."""
    lr: float = 0.0001
    """Learning rate of SGD with momentum 0.9: 0.0001 for RGB and 0.0005 for flow in the paper."""
    lr_every: int = 5000
    """Number of updates after which the learning rate is divided by 10."""
    weight_decay: float = 0.0
    """L2 penalty of all weights and biases."""
    batch: int = 16
    """Number of untrimmed videos in an update, and of trimmed ones."""
    updates: int = 15000
    """Number of updates. The paper does not give it."""
    look_every: int = 250
    """Updates between two validations on the held-out videos."""
    holdout_fraction: float = 0.15
    """Share of the untrimmed training videos that is held out for validation, 0 to below 1."""
    seed: int = 0
    """Random seed of the held-out videos, the initial weights, the batches, the samples and the dropout masks."""

    def check(self, *, trimmed: bool = False) -> None:
        """Check all settings.

        Args:
            trimmed: whether the training has trimmed videos.

        Raises:
            UsageError: a setting is out of range or contradicts another; the message names the first one.
        """
        for name in ("attention_dim", "hidden_dim", "lr_every", "batch", "updates", "look_every"):
            refuse_flag(name, getattr(self, name), "must be at least 1", getattr(self, name) < 1)
        refuse_flag(
            "num_samples", self.num_samples, "must be at least 1", self.num_samples != "all" and self.num_samples < 1
        )
        for name in ("smoothness", "sparsity", "transfer", "weight_decay", "seed"):
            refuse_flag(name, getattr(self, name), "must be 0 or more", not 0 <= getattr(self, name) < math.inf)
        refuse_flag("lr", self.lr, "must be above 0", not 0 < self.lr < math.inf)
        for name in ("dropout", "holdout_fraction"):
            refuse_flag(name, getattr(self, name), "must be from 0 to below 1", not 0 <= getattr(self, name) < 1)
        refuse_flag("trimmed_ce", self.trimmed_ce, "needs --trimmed", self.trimmed_ce and not trimmed)
        alone = trimmed and self.batch < 2 and self.estimate == "unbiased"
        refuse_flag("batch", self.batch, "must be at least 2 for --estimate unbiased", alone)

    def settle(self, point: Mapping[str, Any]) -> Point:
        """Adjust a point: only sigmoid attention can be sparse, and equal weights are smooth."""
        attention = point.get("attention", self.attention)
        idle = {"softmax": ("sparsity",), "average": ("sparsity", "smoothness"), "sigmoid": ()}[attention]
        return {name: getattr(self, name) if name in idle else value for name, value in point.items()}
