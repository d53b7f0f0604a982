"""Fine-tuning of a backbone: learning rates per layer, one update, validation on held-out images.

Plain PyTorch, for one worker or for several that average their gradients. Each worker processes a share of the batch
and weights its loss so that the average is the gradient of the mean loss of the whole batch, even if shares differ in
size.
"""

import dataclasses
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from attn.models.backbone import Backbone


@dataclasses.dataclass(frozen=True)
class Batch:
    """One worker's share of a batch, on the device of the model.

    Attributes:
        images: images as cached, uint8, or stacks of flow, int8. They are normalised on the device, so that only a
            quarter of the bytes is transferred.
        labels: class ids.
        total: number of images in the whole batch, over all workers.
        mixed: number of images at the end of this share that are mixed in: used in training, but counted separately.
    """

    images: Integer[Tensor, "batch row col chan"]
    labels: Int[Tensor, "batch"]
    total: int
    mixed: int = 0


@dataclasses.dataclass(frozen=True)
class Tally:
    """Sums over images, which can be added over batches and workers.

    Attributes:
        loss: sum of the cross entropy, in nats.
        correct: number of images whose largest logit belongs to their class.
        images: number of images.
    """

    loss: float = 0.0
    correct: float = 0.0
    images: float = 0.0

    @property
    def mean_loss(self) -> float:
        return self.loss / self.images if self.images else math.nan

    @property
    def accuracy(self) -> float:
        return self.correct / self.images if self.images else math.nan


@dataclasses.dataclass(frozen=True)
class Validation(Tally):
    """Tally of validation images, with indicators of a collapsed network.

    Attributes:
        predicted: number of images predicted as each class.
        strongest: largest absolute activation of each channel of the map layer, over all images and positions; empty
            without images.
    """

    predicted: tuple[int, ...] = ()
    strongest: tuple[float, ...] = ()

    @property
    def largest_class_share(self) -> float:
        """Share of the images that are predicted as the most frequent class."""
        return max(self.predicted) / sum(self.predicted) if sum(self.predicted) else math.nan

    @property
    def dead_channels(self) -> float:
        """Share of the channels that are 0 on all images."""
        return sum(one == 0 for one in self.strongest) / len(self.strongest) if self.strongest else math.nan

    @classmethod
    def together(cls, parts: Iterable["Validation"]) -> "Validation":
        """Combine the results of all workers."""
        parts = list(parts)
        return cls(
            sum(part.loss for part in parts),
            sum(part.correct for part in parts),
            sum(part.images for part in parts),
            tuple(map(sum, zip(*(part.predicted for part in parts), strict=True))),
            tuple(map(max, zip(*(part.strongest for part in parts if part.strongest), strict=True))),
        )


class Normaliser:
    """Convert uint8 pixels to the CNN's input, `(x - 255 mean) / (255 std)`, in channels_last memory format.

    Args:
        mean: mean of each channel, for images in 0-1.
        std: standard deviation of each channel, for images in 0-1.
        device: device of the images.
    """

    def __init__(self, mean: Iterable[float], std: Iterable[float], device: torch.device):
        self._mean = torch.tensor(tuple(mean), device=device).view(-1, 1, 1) * 255
        self._std = torch.tensor(tuple(std), device=device).view(-1, 1, 1) * 255

    def __call__(self, images: Integer[Tensor, "batch row col chan"]) -> Float[Tensor, "batch chan row col"]:
        return images.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)


def make_optimizer(
    backbone: Backbone, fresh: nn.Module | None, *, lr: float, fresh_lr: float, momentum: float, weight_decay: float
) -> SGD:
    """SGD with a separate learning rate for newly initialised layers.

    Args:
        backbone: network to optimise.
        fresh: its newly initialised part, e.g. the classifier; None if all layers are pretrained.
        lr: learning rate of the pretrained layers.
        fresh_lr: learning rate of the newly initialised part.
        momentum: momentum of SGD.
        weight_decay: L2 penalty on all weights.

    Source: Li et al. 2017, section 4.2 (SGD only); the values are this project's defaults.
    """
    drawn = {id(weight) for weight in fresh.parameters()} if fresh is not None else set()
    groups = [
        {"params": [weight for weight in backbone.parameters() if (id(weight) in drawn) is new], "full_lr": rate}
        for new, rate in ((False, lr), (True, fresh_lr))
    ]
    return SGD([group for group in groups if group["params"]], lr=lr, momentum=momentum, weight_decay=weight_decay)


def set_rates(
    optimizer: SGD, update: int, updates: int, *, decay_after: float = 2 / 3, decay: float = 0.1, warmup: int = 0
) -> None:
    """Set the learning rates of the next update: linear warm-up, then constant, then one decay step.

        rate = full · min(1, (update + 1) / w) · (1 before decay_after, else decay),   w = min(warmup, updates / 4)

    At first the momentum buffers are empty and a newly initialised classifier passes meaningless gradients to the
    layers below. Full steps at that point can drive all ReLUs of a layer to 0, from where no gradient recovers them.

    Args:
        optimizer: optimiser from `make_optimizer`.
        update: index of the next update, from 0.
        updates: number of updates in the whole run.
        decay_after: share of the updates before the decay, 0 to 1.
        decay: factor of the rates after that.
        warmup: number of warm-up updates, limited to a quarter of all updates; 0 disables the warm-up.

    Source: Goyal et al. 2017, section 2.2, for the warm-up.
    """
    factor = 1.0 if update < updates * decay_after else decay
    rise = min(warmup, updates // 4)
    if update < rise:
        factor *= (update + 1) / rise
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor


def train_mode(model: nn.Module, *, freeze_batchnorm: bool, but_first: bool = False) -> None:
    """Set training mode, optionally with frozen BatchNorm statistics.

    Frozen statistics stay as loaded, because small batches of photographs would replace them with noisy estimates.
    Scale and shift are trained in both cases.

    Args:
        model: network.
        freeze_batchnorm: whether the statistics are frozen.
        but_first: whether those of the first layer are updated all the same, for an input of another modality than the
            weights have learnt from.

    Source: Wang et al. 2016 (TSN), section 3.2, partial BN, for `but_first`.
    """
    model.train()
    if freeze_batchnorm:
        layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
        for layer in layers[but_first:]:
            layer.eval()


def update(
    model: nn.Module,
    optimizer: SGD,
    normalise: Normaliser,
    batch: Batch,
    *,
    workers: int = 1,
    clip_norm: float = 0.0,
) -> Tensor:
    """Perform one optimiser step on the mean cross entropy of the batch.

        L_worker = workers / total · Σ over its share of the cross entropy;   mean over workers = mean over the batch

    Args:
        model: backbone in training mode, or DistributedDataParallel around it.
        optimizer: optimiser of its weights.
        normalise: normalisation of the model's input.
        batch: this worker's share, never empty, because all workers must step together.
        workers: number of workers that average their gradients.
        clip_norm: maximum norm of the gradient of all weights; 0 disables clipping. Gradients are averaged before
            clipping, so all workers clip equally.

    Returns:
        Loss sum and number of correct predictions of the share without its mixed images, and the loss sum of the mixed
        images. The tensor is on the device; reading it synchronises, so read it rarely.
    """
    logits = model(normalise(batch.images))
    losses = F.cross_entropy(logits, batch.labels, reduction="none")
    optimizer.zero_grad(set_to_none=True)
    (losses.sum() * (workers / batch.total)).backward()
    if clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    own, losses = len(batch.labels) - batch.mixed, losses.detach()
    return torch.stack([losses[:own].sum(), _correct(logits[:own], batch.labels[:own]), losses[own:].sum()])


@torch.inference_mode()
def validate(backbone: Backbone, normalise: Normaliser, batches: Iterable[Batch]) -> Validation:
    """Evaluate the backbone on validation images, without flips."""
    backbone.eval()
    loss = correct = images = 0.0
    predicted, strongest = torch.zeros(backbone.num_classes, dtype=torch.int64), torch.zeros(0)
    for batch in batches:
        activations = backbone.trunk(normalise(batch.images))
        highest = activations.abs().amax(dim=(0, 2, 3))  # before the head, which may modify activations in place
        logits = backbone.head(activations)
        loss += F.cross_entropy(logits, batch.labels, reduction="sum").item()
        correct += _correct(logits, batch.labels).item()
        images += len(batch.labels)
        predicted += torch.bincount(logits.argmax(dim=1), minlength=len(predicted)).cpu()
        strongest = torch.maximum(strongest, highest.cpu()) if len(strongest) else highest.cpu()
    return Validation(loss, correct, images, tuple(predicted.tolist()), tuple(strongest.tolist()))


def _correct(logits: Float[Tensor, "batch cls"], labels: Int[Tensor, "batch"]) -> Float[Tensor, ""]:
    return (logits.detach().argmax(dim=1) == labels).sum().float()
