"""Adaptation of CNNs without BatchNorm: each channel of the map layer gets back the spread that it had on Web images.

    A'_c = A_c · σ_c(Web images) / σ_c(frames)        σ_c: standard deviation over all images and places

Energies and logits compare classes by magnitude, and frames of videos move the scale of channels. The factor is folded
into the weights that read the channel, so logits and Grad-CAM maps are exactly those of A', and no layer is added.

Measured on photographs of 3 sports and 360 UCF101 clips of them, 128 pixels, one half of the clips for the spread, the
other tested, both ways; top-1 in % of the CNN's average and of UnAtt:

    squeezenet1_0                     80.0, 87.8 → 86.7, 89.4        76.7, 84.4 → 85.0, 88.3
    mobilenet_v2, BatchNorm folded    76.7, 73.3 → 86.1, 84.4        72.8, 72.2 → 85.6, 79.4

With σ and mean both aligned the second gains more (86.7, 96.7 and 87.8, 94.4), the first less (85.6, 88.3 and 83.3,
86.1).
"""

import dataclasses
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError
from attn.maps.head_layers import head_layers, is_flatten, split_pooling
from attn.models.backbone import Backbone

MOST = 10.0
"""Largest factor, up or down: a channel that is nearly silent on one side has no spread to speak of."""


@dataclasses.dataclass(frozen=True)
class Aligned:
    """How far the channels were rescaled.

    Attributes:
        images: Web images that were used.
        frames: frames that were used.
        channels: of the map layer.
        factor: exp(mean of |ln factor|) over the channels; 1 if they stayed.
    """

    images: int
    frames: int
    channels: int
    factor: float

    def __str__(self) -> str:
        return f"{self.channels} channels of the map layer rescaled, by a factor of {self.factor:.2f} on average"


def reader(backbone: Backbone, of: str) -> nn.Linear | nn.Conv2d:
    """Layer that reads the map layer's channels, behind nothing but pooling, flattening and ReLUs.

    Those hand a factor of a channel on.

    Args:
        backbone: the network.
        of: URL of its weights, for the message.

    Raises:
        UsageError: its head begins with another layer.
    """
    _, behind = split_pooling(head_layers(backbone.head))
    rest = [layer for layer in behind if not (is_flatten(layer) or isinstance(layer, nn.ReLU | nn.AvgPool2d))]
    first = rest[0] if rest else None
    if isinstance(first, nn.Linear) or (isinstance(first, nn.Conv2d) and first.groups == 1):
        return first
    raise UsageError(
        f"{of}: {backbone.name} has no BatchNorm, and its head no layer that could take up factors of channels. Use "
        "another CNN."
    )


@torch.inference_mode()
def spread(
    backbone: Backbone, batches: Iterable[Float[Tensor, "batch rgb row col"]]
) -> tuple[Float[Tensor, "chan"], int]:
    """Standard deviation of each channel of the map layer over all images and places, and the number of images."""
    backbone.eval()
    total, squares, places, images = torch.zeros(()), torch.zeros(()), 0, 0
    for batch in batches:
        activations = backbone.trunk(batch).double().cpu()
        total, squares = total + activations.sum((0, 2, 3)), squares + activations.square().sum((0, 2, 3))
        places += activations.shape[0] * activations.shape[2] * activations.shape[3]
        images += len(batch)
    mean = total / places
    return (squares / places - mean * mean).clamp(min=0).sqrt(), images


@torch.no_grad()
def rescale(layer: nn.Linear | nn.Conv2d, wanted: Float[Tensor, "chan"], found: Float[Tensor, "chan"]) -> float:
    """Folds the factors into the layer that reads the channels, in place; their mean size.

    Args:
        layer: of `reader`.
        wanted: spread of each channel on Web images.
        found: the same on frames; a channel without any on one side stays as it is.

    Returns:
        exp(mean of |ln factor|) over the channels.
    """
    alive = (wanted > 0) & (found > 0)
    factors = torch.where(alive, wanted / found.where(alive, 1), 1).clamp(1 / MOST, MOST)
    cells = layer.weight.shape[1] // len(factors)  # of a flattened map there are several inputs per channel
    inputs = factors.repeat_interleave(cells).to(layer.weight)
    layer.weight.mul_(inputs.view(1, -1, *(1,) * (layer.weight.dim() - 2)))
    return factors.log().abs().mean().exp().item()
