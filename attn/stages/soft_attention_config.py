"""Settings for training a soft-attention LSTM, with the paper's values and those of the released code.

This module imports neither torch nor numpy, because flags are derived from it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.errors import refuse_flag
from attn.settings import Point, Settings

SOURCE_FPS = 30
"""Frame rate of the videos for which frame rates of windows are given."""
GAMMA = 1e-5
"""γ: factor of the sum of all squared weights in the loss of one window."""
SUMMED_LR = 1e-4
"""Learning rate of SGD for a loss that is summed over steps and windows."""
LR = {"adam": 1e-4, "adam_released": 2e-4}
"""Learning rates of the other optimizers, which do not depend on the scale of the loss."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftAttentionConfig(Settings):
    """Settings of network, loss, windows, optimizer and length of training. The loss of one window of T steps is Σ_t
    CE_t + λ P, with the cross-entropy CE and the doubly stochastic penalty P."""

    NAME: ClassVar[str] = "soft_attention"
    NOT_SEARCHED: ClassVar[tuple[str, ...]] = (
        *("window_frames", "window_stride", "fps", "batch", "epochs", "look_every", "ce_reduction"),
        *("holdout_fraction", "retrain", "test_aggregation", "last_steps", "seed"),
    )

    pooling: Literal["attention", "average", "max"] = "attention"
    """Input of the LSTM. The default is the cells' features, weighted by the attention. With average or max, it is
    the mean or maximum over the cells, which are the paper's baselines."""
    attention: Literal["additive", "hidden", "linear"] = "additive"
    """Form of the attention logits. With additive, a hidden layer on frame and state, as in the released code. With
    hidden, linear in the state, the paper's Eq. 4. With linear, linear in state and frame, the first author's
    erratum."""
    attention_layers: int = 1
    """Number of layers between the frame and its additive attention logits; 3 for HMDB51 in the released code."""
    lstm_layers: int = 1
    """Number of stacked LSTM layers; 3 in the paper, 1 in the released code."""
    depth_form: Literal["per_layer", "top", "bottom"] = "per_layer"
    """Attention of stacked layers. With per_layer, each layer has its own. With top or bottom, only the lowest layer
    has one, driven by the hidden state of the topmost or of the lowest layer."""
    hidden_dim: int = 512
    """Width of the LSTM layers and of the hidden layer of the output; 1024 for HMDB51 in the paper."""
    init: Literal["torch", "released"] = "torch"
    """Initial weights. torch: PyTorch's defaults. released: orthogonal or normal matrices as in the released code."""
    dropout: float = 0.5
    """Probability of dropping a unit, 0 to below 1."""
    dropout_sites: Literal["all", "output"] = "all"
    """Connections with dropout. With all, all non-recurrent ones. With output, only those of the hidden layer of the
    output, as in the released code."""
    dropout_form: Literal["inverted", "released"] = "inverted"
    """inverted: scale kept units up in training. released: scale units down in evaluation."""
    window_frames: int = 30
    """T: frames of a window, which are the steps of the LSTM."""
    window_stride: int = 1
    """Distance of the first frames of two windows of a video, in frames."""
    fps: int = 30
    """Frames per second of a window, for videos of 30 frames per second: it takes every int(30 / fps)-th frame."""
    attention_penalty: float = 0.0
    """λ: weight of the doubly stochastic penalty of a window; 0, 1 or 10 in the paper."""
    penalty_target: Literal["1", "T/K2"] = "1"
    """Total attention that each cell should receive in a window. T/K2: steps over cells, the only total that all
    cells can reach."""
    penalty_reduction: Literal["sum", "mean"] = "sum"
    """Reduction of the penalty over cells. sum: as in the paper. mean: as in the released code."""
    ce_reduction: Literal["mean", "sum"] = "mean"
    """Reduction of the loss over steps and windows. With mean, the sum over windows is divided by T and by the
    number of windows. The sum is that of the released code, and changes the meaning of `lr` (SGD) and
    `weight_decay`."""
    optimizer: Literal["adam", "sgd", "adam_released"] = "adam"
    """sgd: without momentum. adam_released: Adam as in the released code, whose bias correction has hardly any
    effect."""
    lr: float | None = None
    """Learning rate (default: 0.0001; adam_released 0.0002; sgd for the mean 0.0001 · batch · T, which is 0.384).
    For HMDB51, adam 0.0002 and sgd a tenth of the default."""
    weight_decay: float | None = None
    """L2 penalty of all weights and biases (default: 2e-5 / T for the mean, 2e-5 for the sum). The first is the
    paper's form, the second the released one, to which 5.2e-9 is equivalent for the mean."""
    batch: int = 128
    """Number of windows in an update."""
    epochs: int = 15
    """Number of passes over all windows."""
    look_every: int = 100
    """Updates between two validations on the held-out videos; the end of an epoch is validated too."""
    holdout_fraction: float = 0.15
    """Share of the training videos of each class that is held out for validation, 0 to below 1."""
    retrain: bool = False
    """Train again on all training videos, from the initial weights down to the training loss of the best validation."""
    test_aggregation: Literal["mean", "mode"] = "mean"
    """Score of a video. With mean, the mean of the probabilities over steps, then over windows. With mode, the share
    of the windows whose probabilities, summed over steps, are largest for the class, as in the released code."""
    last_steps: int | None = None
    """Number of last steps of a window that count for its score (default: all). The released code has 16 for HMDB51
    and Hollywood2."""
    seed: int = 0
    """Random seed of the held-out videos, the initial weights, the order of the windows and the dropout masks."""

    @property
    def skip(self) -> int:
        """Distance of the frames of a window, in frames of the video: int(30 / fps).

        Source: released code of Sharma et al. 2015; 30, 6 and 1 frames per second give 1, 5 and 30.
        """
        return SOURCE_FPS // self.fps

    @property
    def learning_rate(self) -> float:
        """Learning rate, with its default."""
        if self.lr is not None:
            return self.lr
        return LR.get(self.optimizer, SUMMED_LR * self._summands)

    @property
    def decay(self) -> float:
        """L2 penalty that is added to the gradient, with its default."""
        if self.weight_decay is not None:
            return self.weight_decay
        return 2 * GAMMA / (self.window_frames if self.ce_reduction == "mean" else 1)

    @property
    def _summands(self) -> int:
        """Number by which the mean divides the sum of all losses of an update."""
        return self.batch * self.window_frames if self.ce_reduction == "mean" else 1

    def check(self, *, multi_label: bool = False) -> None:
        """Check all settings.

        Args:
            multi_label: whether the videos may have several classes each.

        Raises:
            UsageError: a setting is out of range or contradicts another; the message names the first one.
        """
        sizes = ("attention_layers", "lstm_layers", "hidden_dim", "window_frames", "window_stride")
        for name in (*sizes, "batch", "epochs", "look_every"):
            refuse_flag(name, getattr(self, name), "must be at least 1", getattr(self, name) < 1)
        for name in ("attention_penalty", "seed"):
            refuse_flag(name, getattr(self, name), "must be 0 or more", not 0 <= getattr(self, name) < math.inf)
        refuse_flag("weight_decay", self.decay, "must be 0 or more", not 0 <= self.decay < math.inf)
        refuse_flag("lr", self.learning_rate, "must be above 0", not 0 < self.learning_rate < math.inf)
        for name in ("dropout", "holdout_fraction"):
            refuse_flag(name, getattr(self, name), "must be from 0 to below 1", not 0 <= getattr(self, name) < 1)
        refuse_flag("fps", self.fps, f"must be from 1 to {SOURCE_FPS}", not 1 <= self.fps <= SOURCE_FPS)
        refuse_flag(
            "last_steps",
            self.last_steps,
            f"must be from 1 to --window-frames ({self.window_frames})",
            self.last_steps is not None and not 1 <= self.last_steps <= self.window_frames,
        )
        votes = self.test_aggregation == "mode"
        refuse_flag("test_aggregation", self.test_aggregation, "needs videos of one class each", votes and multi_label)
        self._check_forms()

    def usual(self, name: str) -> Any:
        """Value of a setting that takes effect."""
        return {"lr": self.learning_rate, "weight_decay": self.decay}.get(name, getattr(self, name))

    def settle(self, point: Mapping[str, Any]) -> Point:
        """Adjust a point: only attention has a penalty, and only additive attention has several layers."""
        pooling, attention = (point.get(name, getattr(self, name)) for name in ("pooling", "attention"))
        bound: Point = {}
        if pooling != "attention":
            bound["attention_penalty"] = 0.0
        if pooling != "attention" or attention != "additive":
            bound["attention_layers"] = 1
        given = {name: point.get(name, getattr(self, name)) for name in bound}
        return {**point, **{name: value for name, value in bound.items() if name in point or value != given[name]}}

    def _check_forms(self) -> None:
        attends = self.pooling == "attention"
        penalised, deep = self.attention_penalty > 0, self.attention_layers > 1
        refuse_flag("attention_penalty", self.attention_penalty, "needs --pooling attention", penalised and not attends)
        additive = attends and self.attention == "additive"
        refuse_flag("attention_layers", self.attention_layers, "needs --attention additive", deep and not additive)
        held_out = self.holdout_fraction > 0
        refuse_flag("retrain", self.retrain, "needs a --holdout-fraction above 0", self.retrain and not held_out)
