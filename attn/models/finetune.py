"""Fine-tuning of a backbone: which layers learn how fast, one update, one look at held-out images.

Plain torch, for one process or for many that average their gradients: each sees its share of a batch and weighs it
so that the average is the gradient of the whole batch's mean loss, however unequal the shares are.
"""

import dataclasses
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from attn.models.backbone import Backbone


@dataclasses.dataclass(frozen=True)
class Batch:
    """One worker's share of a batch, where the model is.

    Attributes:
        images: as they were cached; normalised only now, on the device, so that a quarter of the bytes travels there.
        labels: class ids.
        total: images of the whole batch, all workers together.
        mixed: the last so many images of this share are learnt from, and counted apart from the others.
    """

    images: UInt8[Tensor, "batch row col rgb"]
    labels: Int[Tensor, "batch"]
    total: int
    mixed: int = 0


@dataclasses.dataclass(frozen=True)
class Tally:
    """Sums over images, so that tallies of batches and of workers add up.

    Attributes:
        loss: cross entropy in nats, summed.
        correct: images whose largest logit is their class's.
        images: how many.
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
    """A tally of pictures that are not learnt from, and what shows whether the network still tells them apart.

    Attributes:
        predicted: pictures that get each class.
        strongest: largest absolute activation of each channel of the map layer on any picture and place; empty without
            pictures.
    """

    predicted: tuple[int, ...] = ()
    strongest: tuple[float, ...] = ()

    @property
    def largest_class_share(self) -> float:
        """Share of the pictures that get the most frequent class."""
        return max(self.predicted) / sum(self.predicted) if sum(self.predicted) else math.nan

    @property
    def dead_channels(self) -> float:
        """Share of the channels that are 0 on every picture."""
        return sum(one == 0 for one in self.strongest) / len(self.strongest) if self.strongest else math.nan

    @classmethod
    def together(cls, parts: Iterable["Validation"]) -> "Validation":
        """Figures of all pictures, from those of each worker."""
        parts = list(parts)
        return cls(
            sum(part.loss for part in parts),
            sum(part.correct for part in parts),
            sum(part.images for part in parts),
            tuple(map(sum, zip(*(part.predicted for part in parts), strict=True))),
            tuple(map(max, zip(*(part.strongest for part in parts if part.strongest), strict=True))),
        )


class Normaliser:
    """uint8 pixels → the CNN's input, `(x - 255 mean) / (255 std)`; the result lies in memory as channels_last.

    Args:
        mean: of the channels, 0 to 1.
        std: of the channels, in the same unit.
        device: where the images are.
    """

    def __init__(self, mean: Iterable[float], std: Iterable[float], device: torch.device):
        self._mean = torch.tensor(tuple(mean), device=device).view(3, 1, 1) * 255
        self._std = torch.tensor(tuple(std), device=device).view(3, 1, 1) * 255

    def __call__(self, images: UInt8[Tensor, "batch row col rgb"]) -> Float[Tensor, "batch rgb row col"]:
        return images.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)


def make_optimizer(
    backbone: Backbone, fresh: nn.Module | None, *, lr: float, fresh_lr: float, momentum: float, weight_decay: float
) -> SGD:
    """SGD in which layers that were just drawn learn at a rate of their own.

    Args:
        backbone: whose weights.
        fresh: the part of it that was just drawn, e.g. its classifier; None when all was trained before.
        lr: of the other layers.
        fresh_lr: of that part.
        momentum: of SGD.
        weight_decay: L2 penalty on all weights.

    Source: Li et al. 2017, section 4.2 (SGD alone); the numbers are this project's defaults.
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
    """Rates that rise to their full height, stay there, and fall to a part of it.

        rate = full · min(1, (update + 1) / w) · (1 before decay_after, else decay),   w = min(warmup, updates / 4)

    The momentum of SGD has seen no gradient at first, and a drawn classifier sends nonsense down: full steps then can
    end with every ReLU of a layer at 0, where no gradient brings it back.

    Args:
        optimizer: of `make_optimizer`.
        update: the coming one, counted from 0.
        updates: in the whole run.
        decay_after: share of the updates that comes first, 0 to 1.
        decay: part of the rates that is left then.
        warmup: updates of the rise, a quarter of all at most; 0: none.

    Source: the rise is that of Goyal et al. 2017, section 2.2.
    """
    factor = 1.0 if update < updates * decay_after else decay
    rise = min(warmup, updates // 4)
    if update < rise:
        factor *= (update + 1) / rise
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor


def train_mode(model: nn.Module, *, freeze_batchnorm: bool) -> None:
    """Training mode, with or without BatchNorm's.

    Frozen, the statistics stay as loaded: batches of a few photographs would replace them by noisy ones. Scale and
    shift are learnt either way.
    """
    model.train()
    if freeze_batchnorm:
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
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
    """One step down the gradient of the batch's mean cross entropy.

        L_worker = workers / total · Σ over its share of the cross entropy;   mean over workers = mean over the batch

    Args:
        model: the backbone, or DistributedDataParallel around it, in training mode.
        optimizer: of its weights.
        normalise: what the model wants done to pixels.
        batch: this worker's share, never empty: all workers must step together.
        workers: how many average their gradients.
        clip_norm: length to which a longer gradient of all weights is shortened; 0: never. Workers have averaged by
            then, so that all shorten the same gradient alike.

    Returns:
        loss sum and correct answers of the share without its mixed images, and their loss sum, on the device: reading
        them waits for it, so do that rarely.
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
    """Loss, correct answers and signs of life on images that are not learnt from, without flips."""
    backbone.eval()
    loss = correct = images = 0.0
    predicted, strongest = torch.zeros(backbone.num_classes, dtype=torch.int64), torch.zeros(0)
    for batch in batches:
        activations = backbone.trunk(normalise(batch.images))
        highest = activations.abs().amax(dim=(0, 2, 3))  # first: heads may work in place
        logits = backbone.head(activations)
        loss += F.cross_entropy(logits, batch.labels, reduction="sum").item()
        correct += _correct(logits, batch.labels).item()
        images += len(batch.labels)
        predicted += torch.bincount(logits.argmax(dim=1), minlength=len(predicted)).cpu()
        strongest = torch.maximum(strongest, highest.cpu()) if len(strongest) else highest.cpu()
    return Validation(loss, correct, images, tuple(predicted.tolist()), tuple(strongest.tolist()))


def _correct(logits: Float[Tensor, "batch cls"], labels: Int[Tensor, "batch"]) -> Float[Tensor, ""]:
    return (logits.detach().argmax(dim=1) == labels).sum().float()
