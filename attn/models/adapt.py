"""Unsupervised adaptation of a CNN: BatchNorm statistics re-estimated on frames of the target videos.

A CNN normalises each channel with the mean and variance of its training images. Video frames have different statistics
(blur, compression, camera), so every channel is shifted and scaled. Statistics of the target frames correct this and
need no labels. Weights, biases and the affine parameters of BatchNorm do not change.

Source: Li, Wang, Shi, Liu, Hou 2016, Revisiting Batch Normalization For Practical Domain Adaptation (AdaBN).
Differs: the statistics of a layer are computed while all earlier layers normalise batch by batch, as in training, and
are averaged over the batches; the paper does not specify how they are collected.
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
"""Minimum batch size. Deep layers have few cells per frame, and a batch must be representative of all videos."""

LEAST_FRAMES = 128
"""Minimum number of frames for stable statistics. On three sets of real clips (mobilenet_v2_w035), variances estimated
on 1000 to 2000 frames differ by 2 to 3 % from the estimate on 128 frames, by 5 to 6 % from that on 32 frames and by 1
to 2 % from that on 512 frames. Adaptation changes them by 23 to 27 %."""

ALIKE = 1.0
"""Mean standard deviation of the pixels over frames, in grey levels (0-255), below which frames count as alike."""

FOLDED = 1e-5
"""Tolerance, for rounding errors, within which means count as 0 and variances as 1."""


@dataclasses.dataclass(frozen=True)
class Moved:
    """Change of the statistics, averaged over the channels of all BatchNorm layers.

        shift = mean of |μ' − μ| / max(σ, σ')        factor = exp(mean of |ln(σ'² / σ²)|)

    Attributes:
        frames: number of frames used, without an incomplete last batch.
        channels: number of channels of all layers.
        shift: change of the means, in standard deviations.
        factor: change of the variances, up or down; 1 if unchanged.
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
    """Return whether a backbone has BatchNorm layers; allocates no memory for the weights."""
    with torch.device("meta"):
        return bool(_batchnorms(build_backbone(name, 2)))


def check_adaptable(backbone: Backbone, of: str) -> None:
    """Check that the BatchNorm statistics of a network can be re-estimated.

    Args:
        backbone: network with its weights loaded.
        of: URL of the weights, for the message.

    Raises:
        UsageError: the network has no BatchNorm; or all means are 0 and all variances 1. Such statistics were folded
            into the convolutions or never used, so later layers expect unnormalised activations.
    """
    layers = _batchnorms(backbone)
    if not layers:
        raise UsageError(
            f"{of}: {backbone.name} has no BatchNorm and so no statistics to re-estimate. Give its training "
            "images with --images, to rescale the channels of its map layer instead."
        )
    mean, variance = _statistics(layers)
    if mean.abs().max() <= FOLDED and (variance - 1).abs().max() <= FOLDED:
        raise UsageError(
            f"{of}: every BatchNorm mean is 0 and every variance is 1, so the statistics were folded into the weights "
            "or never estimated. Give weights with BatchNorm statistics, or the CNN's training images with --images."
        )


def reestimate(backbone: Backbone, batches: Iterable[Float[Tensor, "batch rgb row col"]]) -> Moved:
    """Replace the running statistics of all BatchNorm layers, in place.

        μ' = mean over batches of the batch's mean        σ'² = mean over batches of its unbiased variance

    All other layers are in evaluation mode (no dropout). Modes and momenta are restored afterwards. Every batch has
    the same weight, regardless of its size. Each batch must mix many videos, because frames of one video vary less
    than frames of different videos.

    Args:
        backbone: network on the device of the batches, in fp32.
        batches: normalised images; at least one batch.

    Raises:
        ValueError: `batches` is empty, or the network has no BatchNorm.
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
    of: str = "frames",
) -> Moved:
    """Re-estimate the statistics on selected rows of an array of frames, in batches of equal size.

    An incomplete last batch is dropped unless it is the only one, so that the average over batches is the average over
    frames. The cost is one forward pass over the frames.

    Args:
        backbone: network on the device of the normaliser, in fp32.
        pixels: frames at the CNN's input size, in memory or memory-mapped.
        rows: indices of the frames to use, in an order that mixes the videos.
        batch_size: frames in one forward pass.
        least_frames: minimum number of rows.
        of: name of the frames' source, for messages.

    Raises:
        UsageError: there are too few frames, or all of them are alike.
    """
    if batch_size < LEAST_BATCH:
        raise UsageError(f"--batch-size {batch_size}: too small for stable statistics. Give {LEAST_BATCH} or more.")
    check_enough(len(rows), least_frames, of=of)
    check_spread(pixels[rows[:LEAST_BATCH]], of=of)
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
    """Call `adapt` on a random sample of the rows of a pixel cache.

    Args:
        rows: indices of the usable frames, in any order, without duplicates.
        frames: size of the sample; all rows are used if there are fewer.
        seed: seed of the sample and its order; equal rows and seeds give equal samples.

    Raises:
        UsageError: as in `adapt`.
    """
    sample = np.random.default_rng(seed).permutation(np.sort(rows))[:frames]
    return adapt(backbone, pixels, sample, normalise, batch_size=batch_size, least_frames=least_frames)


def check_enough(frames: int, least: int = LEAST_FRAMES, *, of: str) -> None:
    """Raise UsageError if there are too few frames for stable statistics; `of` names their source."""
    if frames < least:
        raise UsageError(
            f"{of}: {frames} frames, too few for stable BatchNorm statistics. Give {least} frames or more: "
            "more videos, a smaller --stride or a larger --frames."
        )


def check_spread(frames: UInt8[np.ndarray, "frame row col rgb"], *, of: str) -> None:
    if frames.std(axis=0, dtype=np.float32).mean() < ALIKE:
        raise UsageError(f"{of}: all frames are alike, so their variance is 0. Give different videos.")


def _equal_batches(rows: Int[np.ndarray, "frame"], batch_size: int) -> Int[np.ndarray, "batch _"]:
    full = len(rows) // batch_size
    return rows[: full * batch_size].reshape(full, batch_size) if full else rows[None]


def _batchnorms(backbone: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]


def _statistics(layers: list[_BatchNorm]) -> tuple[Float[Tensor, "chan"], Float[Tensor, "chan"]]:
    """Concatenated copies of all means and of all variances."""
    mean = torch.cat([layer.get_buffer("running_mean").double().cpu() for layer in layers])
    return mean, torch.cat([layer.get_buffer("running_var").double().cpu() for layer in layers])


def _moved(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], eps: float, frames: int) -> Moved:
    """Summarise the change; `eps` limits the effect of channels whose variance is 0."""
    (mean, variance), (new_mean, new_variance) = (before[0], before[1] + eps), (after[0], after[1] + eps)
    shift = ((new_mean - mean).abs() / torch.maximum(variance, new_variance).sqrt()).mean()
    factor = (new_variance / variance).log().abs().mean().exp()
    return Moved(frames, len(mean), shift.item(), factor.item())


@contextlib.contextmanager
def _estimating(backbone: nn.Module, layers: list[_BatchNorm]) -> Iterator[None]:
    """Let BatchNorm accumulate a cumulative average from scratch, with all other layers in evaluation mode.

    Modes and momenta are restored on exit.
    """
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
    """Disable TF32, which cuDNN uses by default, because the statistics are used in fp32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
