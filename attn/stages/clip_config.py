"""Settings for training a network of clips, with the values of the paper's first author.

This module imports neither torch nor numpy, because flags are derived from it.
"""

import dataclasses
import math
from typing import ClassVar, Literal

from attn.errors import refuse_flag
from attn.settings import Settings

CLIPS_OF_LR = 16
"""Number of clips in an update for which the learning rate is given."""
CROPS = (1, 3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipConfig(Settings):
    """Settings of network, attention, loss, clips and optimizer. The loss of a clip is CE + λ_M KL(P_M, P_F) + λ_A
    KL(P_A, uniform), with the cross-entropy CE and maps of motion, appearance and the flow teacher."""

    NAME: ClassVar[str] = "clip_cnn"
    NOT_SEARCHED: ClassVar[tuple[str, ...]] = (
        *("length", "step", "crop", "epochs", "batch", "holdout_fraction", "shuffle_teacher", "seed"),
    )

    backbone: str = "r2plus1d_18"
    """Backbone: r3d_18, mc3_18, r2plus1d_18, s3d, or small_clip_cnn, which has no pretrained weights."""
    attention: Literal["gumbel", "soft", "none"] = "gumbel"
    """Attention. gumbel: random in training, with another sample per channel. soft: without noise. none: average
    pooling, a plain network."""
    fusion: Literal["concat", "mean"] = "concat"
    """Features of motion and appearance. concat: one pooled vector for each map. mean: one, pooled with their mean."""
    temperature: float = 1.0
    """τ of the attention's softmax; 2 in later networks of the author."""
    attention_kernel_t: int = 1
    """Length in time of the attention's convolution, odd. With 1 and a time stride of 2, every second time step of
    block 4 is never read."""
    attention_hidden: int = 0
    """Width of a hidden convolution of the attention; 0 for none."""
    hidden_layer: bool = False
    """Insert a hidden layer before the classifier."""
    distillation_weight: float = 1.0
    """λ_M / log(number of classes): weight of the divergence of the motion map from the teacher's map."""
    prior_weight: float = 1.0
    """λ_A / log(number of classes): weight of the divergence of the appearance map from uniform attention. For flow, it
    is that of the only map."""
    kl: Literal["reverse", "forward"] = "reverse"
    """Divergence from the teacher. reverse: KL(motion || teacher), as in the author's code. forward: KL(teacher ||
    motion), the usual direction of distillation."""
    pool_teacher_maps: bool = False
    """Average-pool the logits of a larger map of the teacher to the student's size, instead of refusing it."""
    shuffle_teacher: bool = False
    """Control: distil the teacher's map of another video."""
    label_smoothing: float = 0.1
    """Label smoothing of the cross-entropy, 0 to below 1."""
    dropout: float = 0.5
    """Probability of dropping a unit before the classifier, 0 to below 1."""
    length: int = 16
    """Number of frames of a clip."""
    step: int = 4
    """Distance of the frames of a clip, in frames of the store."""
    jitter: float = 1.0
    """Share of the possible first frames of a training clip, around the middle one, 0 to 1."""
    crop: int | None = None
    """Side of the random window of a clip, in pixels (default: that of the backbone, at most the stored side)."""
    flip: bool = True
    """Mirror half of the training clips; the horizontal flow then changes its sign."""
    lr: float = 2.5e-3
    """Learning rate of pretrained layers for 16 clips per update. It is proportional to --batch and falls to 0 along a
    cosine. The released configurations have 2.5e-4."""
    head_lr_factor: float = 10.0
    """Factor of the learning rate of new layers: attention, fully connected ones, and a backbone without --weights."""
    momentum: float = 0.9
    """Nesterov momentum of SGD, 0 to below 1."""
    weight_decay: float = 1e-4
    """L2 penalty of weights; biases and BatchNorm have none."""
    batch: int = 16
    """Number of clips in an update, at most."""
    epochs: int = 90
    """Number of epochs, each with one clip of every video."""
    holdout_fraction: float = 0.1
    """Share of the training videos of each class that is held out for validation, 0 to below 1."""
    seed: int = 0
    """Random seed of held-out videos, initial weights, clips, attention and dropout."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of an update of `batch` clips."""
        return self.lr * self.batch / CLIPS_OF_LR

    def num_maps(self, modality: str) -> int:
        """Number of attention maps: one for flow, motion and appearance for RGB, none without attention."""
        return 0 if self.attention == "none" else 1 if modality == "flow" else 2

    def check(self) -> None:
        """Check all settings but the name of the backbone.

        Raises:
            UsageError: a setting is out of range or contradicts another; the message names the first one.
        """
        for name in ("length", "step", "batch", "epochs"):
            refuse_flag(name, getattr(self, name), "must be at least 1", getattr(self, name) < 1)
        refuse_flag("crop", self.crop, "must be at least 1", self.crop is not None and self.crop < 1)
        for name in ("distillation_weight", "prior_weight", "weight_decay", "attention_hidden", "seed"):
            refuse_flag(name, getattr(self, name), "must be 0 or more", not 0 <= getattr(self, name) < math.inf)
        for name in ("temperature", "lr", "head_lr_factor"):
            refuse_flag(name, getattr(self, name), "must be above 0", not 0 < getattr(self, name) < math.inf)
        for name in ("dropout", "label_smoothing", "momentum", "holdout_fraction"):
            refuse_flag(name, getattr(self, name), "must be from 0 to below 1", not 0 <= getattr(self, name) < 1)
        refuse_flag("jitter", self.jitter, "must be from 0 to 1", not 0 <= self.jitter <= 1)
        odd = self.attention_kernel_t > 0 and self.attention_kernel_t % 2 == 1
        refuse_flag("attention_kernel_t", self.attention_kernel_t, "must be odd", not odd)
