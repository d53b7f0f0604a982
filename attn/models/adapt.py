"""Adaptation without labels: BatchNorm statistics of a CNN, estimated again on frames of the target videos.

A CNN normalises every channel by mean and variance of the images that it was trained on. Frames of videos have others
(blur, compression, camera), so all channels arrive shifted and scaled. Statistics of the target frames undo that and
need no label. Weights, biases and the affine part of BatchNorm stay as they are.

Source: Li, Wang, Shi, Liu, Hou 2016, Revisiting Batch Normalization For Practical Domain Adaptation (AdaBN).
Differs: statistics are those of every layer's input after the layers before were normalised batch by batch, as in
training, and are averaged over the batches; the paper leaves open how they are collected.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from attn.errors import UsageError
from attn.models.backbone import Backbone, build_backbone
from attn.models.finetune import Normaliser

LEAST_BATCH = 32
"""Frames of a batch. Deep layers see few places per frame, and the frames of one batch must stand for all videos."""

LEAST_FRAMES = 128
"""Of stable statistics. On three sets of real clips (mobilenet_v2_w035) the variances of 128 frames differ by 2 to 3 %
from those of 1000 to 2000, where adaptation moves them by 23 to 27 %; those of 32 by 5 to 6 %, of 512 by 1 to 2 %."""

ALIKE = 1.0
"""Spread of a pixel over the frames, in grey levels of 255, below which they all show one picture."""

FOLDED = 1e-5
"""How far statistics may be from 0 and 1 and still count as folded: what rounding makes of them."""


@dataclasses.dataclass(frozen=True)
class Moved:
    """How far the statistics moved: means over the channels of all BatchNorm layers.

        shift = mean of |μ' − μ| / max(σ, σ')        factor = exp(mean of |ln(σ'² / σ²)|)

    Attributes:
        frames: that were used; a rest that fills no batch is not among them.
        channels: of all layers together.
        shift: of the means, in standard deviations.
        factor: of the variances, up or down; 1 if they stayed.
    """

    frames: int
    channels: int
    shift: float
    factor: float

    def __str__(self) -> str:
        return (
            f"statistics of {self.channels} channels moved: means by {self.shift:.3f} standard deviations, "
            f"variances by a factor of {self.factor:.2f}"
        )


def has_batchnorm(name: str) -> bool:
    """Whether the backbone of that name has BatchNorm; takes no memory for its weights."""
    with torch.device("meta"):
        return bool(_batchnorms(build_backbone(name, 2)))


def check_adaptable(backbone: Backbone, of: str) -> None:
    """Refuses a network whose statistics cannot be estimated again.

    Args:
        backbone: with its weights.
        of: URL of the weights, for the message.

    Raises:
        UsageError: no BatchNorm; or all means are 0 and all variances 1. Such statistics were folded into the
            convolutions, or never used: the layers after them expect the activations as they are.
    """
    layers = _batchnorms(backbone)
    if not layers:
        raise UsageError(f"{of}: {backbone.name} has no BatchNorm. Give --images, the Web images that it has learnt.")
    mean, variance = _statistics(layers)
    if mean.abs().max() <= FOLDED and (variance - 1).abs().max() <= FOLDED:
        raise UsageError(
            f"{of}: every BatchNorm mean is 0 and every variance 1, so they are folded into the weights or were never "
            "estimated. Give weights with their own statistics, or --images, the Web images that the CNN has learnt."
        )


def reestimate(backbone: Backbone, batches: Iterable[Float[Tensor, "batch rgb row col"]]) -> Moved:
    """Replaces the running statistics of all BatchNorm layers, in place.

        μ' = mean over batches of the batch's mean        σ'² = mean over batches of its unbiased variance

    All other layers are in evaluation mode (no dropout). Modes and momenta are left as found. Batches count alike
    whatever their size, and each must mix many videos: frames of one video vary less than those of different ones.

    Args:
        backbone: on the device of the batches, in fp32.
        batches: normalised images; at least one batch.

    Raises:
        ValueError: no batch, or no BatchNorm.
    """
    layers, frames = _batchnorms(backbone), 0
    if not layers:
        raise ValueError(f"{backbone.name} has no BatchNorm")
    before = _statistics(layers)
    with torch.no_grad(), _estimating(backbone, layers), _exact():
        for images in batches:
            backbone(images)
            frames += len(images)
    if not frames:
        raise ValueError("no batch of images to estimate statistics on")
    return _moved(before, _statistics(layers), layers[0].eps, frames)


def adapt(
    backbone: Backbone,
    pixels: UInt8[np.ndarray, "image row col rgb"],
    rows: Int[np.ndarray, "frame"],
    normalise: Normaliser,
    *,
    batch_size: int = 64,
    least_frames: int = LEAST_FRAMES,
) -> Moved:
    """Estimates the statistics on some rows of an array of frames, in batches of equal size.

    A rest that fills no batch is dropped, unless it is all there is: the average over the batches is then the average
    over the frames. One forward pass over the frames is all it costs.

    Args:
        backbone: on the device of the normaliser, in fp32.
        pixels: frames at the CNN's input size, in memory or mapped from disk.
        rows: which of them, in an order that mixes the videos.
        batch_size: frames in one forward pass.
        least_frames: fewer are refused.

    Raises:
        UsageError: too few frames, or all of them alike.
    """
    if batch_size < LEAST_BATCH:
        raise UsageError(f"--batch-size {batch_size}: too small for stable statistics. Give {LEAST_BATCH} or more.")
    check_enough(len(rows), least_frames)
    check_spread(pixels[rows[:LEAST_BATCH]])
    device = backbone.classifier.weight.device
    batches = (torch.from_numpy(pixels[batch]) for batch in _equal_batches(rows, batch_size))
    return reestimate(backbone, (normalise(images.to(device)) for images in batches))


def adapt_to_cache(
    backbone: Backbone,
    pixels: UInt8[np.ndarray, "image row col rgb"],
    rows: Int[np.ndarray, "frame"],
    normalise: Normaliser,
    *,
    frames: int = 2000,
    seed: int = 0,
    batch_size: int = 64,
    least_frames: int = LEAST_FRAMES,
) -> Moved:
    """The same on a random sample of the rows, equal for equal rows and seed: `adapt` for a pixel cache.

    Args:
        rows: that may be used, in any order; each at most once.
        frames: size of the sample; all rows if there are fewer.
        seed: another seed, another sample and order.

    Raises:
        UsageError: as `adapt`.
    """
    sample = np.random.default_rng(seed).permutation(np.sort(rows))[:frames]
    return adapt(backbone, pixels, sample, normalise, batch_size=batch_size, least_frames=least_frames)


def check_enough(frames: int, least: int = LEAST_FRAMES) -> None:
    """Raises UsageError for fewer frames than give stable statistics."""
    if frames < least:
        raise UsageError(
            f"{frames} frames: too few for stable BatchNorm statistics. Give {least} frames or more: "
            "more videos, a smaller --stride or a larger --frames."
        )


def check_spread(frames: UInt8[np.ndarray, "frame row col rgb"]) -> None:
    if frames.std(axis=0, dtype=np.float32).mean() < ALIKE:
        raise UsageError("the frames are all alike, so their variance is none. Give videos that differ.")


def _equal_batches(rows: Int[np.ndarray, "frame"], batch_size: int) -> Int[np.ndarray, "batch _"]:
    full = len(rows) // batch_size
    return rows[: full * batch_size].reshape(full, batch_size) if full else rows[None]


def _batchnorms(backbone: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]


def _statistics(layers: list[_BatchNorm]) -> tuple[Float[Tensor, "chan"], Float[Tensor, "chan"]]:
    """Copies of all means and of all variances."""
    mean = torch.cat([layer.get_buffer("running_mean").double().cpu() for layer in layers])
    return mean, torch.cat([layer.get_buffer("running_var").double().cpu() for layer in layers])


def _moved(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], eps: float, frames: int) -> Moved:
    """`eps` bounds what channels without any variance count."""
    (mean, variance), (new_mean, new_variance) = (before[0], before[1] + eps), (after[0], after[1] + eps)
    shift = ((new_mean - mean).abs() / torch.maximum(variance, new_variance).sqrt()).mean()
    factor = (new_variance / variance).log().abs().mean().exp()
    return Moved(frames, len(mean), shift.item(), factor.item())


@contextlib.contextmanager
def _estimating(backbone: nn.Module, layers: list[_BatchNorm]) -> Iterator[None]:
    """BatchNorm collects a cumulative average from zero; every other layer evaluates. All as found afterwards."""
    modes = {module: module.training for module in backbone.modules()}
    momenta = [layer.momentum for layer in layers]
    backbone.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.training = True
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    """No TF32, which cuDNN uses by default: the statistics are used in fp32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
