"""Adaptation of CNNs without BatchNorm: channels of the map layer are rescaled to their spread on Web images.

    A'_c = A_c · σ_c(Web images) / σ_c(frames)        σ_c: standard deviation over all images and positions

Energies and logits compare classes by magnitude, and channels have a different scale on video frames. The factor is
folded into the weights of the next layer, so logits and Grad-CAM maps are exactly those of A', without an extra layer.

Measured on photographs of 3 sports and 360 UCF101 clips of them, at 128 pixels, with one half of the clips for the
spread and the other for testing, and vice versa; top-1 in % of the CNN average and of UnAtt:

    squeezenet1_0                     80.0, 87.8 → 86.7, 89.4        76.7, 84.4 → 85.0, 88.3
    mobilenet_v2, BatchNorm folded    76.7, 73.3 → 86.1, 84.4        72.8, 72.2 → 85.6, 79.4

If the means are aligned as well, the second gains more (86.7, 96.7 and 87.8, 94.4), the first less (85.6, 88.3 and
83.3, 86.1).
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
"""Maximum factor, up or down, because the spread of a nearly inactive channel is not reliable."""


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Summary of the rescaling.

    Attributes:
        images: number of Web images used.
        frames: number of frames used.
        channels: number of channels of the map layer.
        factor: exp(mean of |ln factor|) over the channels; 1 if unchanged.
    """

    images: int
    frames: int
    channels: int
    factor: float

    def __str__(self) -> str:
        return f"{self.channels} channels of the map layer rescaled, by a factor of {self.factor:.2f} on average"


def reader(backbone: Backbone, of: str) -> nn.Linear | nn.Conv2d:
    """First layer of the head with weights, if only pooling, flattening and ReLUs precede it.

    Such layers commute with the scaling of a channel.

    Args:
        backbone: network to adapt.
        of: URL of its weights, for the message.

    Raises:
        UsageError: the head begins with another kind of layer.
    """
    _, behind = split_pooling(head_layers(backbone.head))
    rest = [layer for layer in behind if not (is_flatten(layer) or isinstance(layer, nn.ReLU | nn.AvgPool2d))]
    first = rest[0] if rest else None
    if isinstance(first, nn.Linear) or (isinstance(first, nn.Conv2d) and first.groups == 1):
        return first
    raise UsageError(
        f"{of}: {backbone.name} has no BatchNorm, and its head has no layer into which channel factors can be folded, "
        "because it normalises the map layer itself. Use it without adaptation, or another CNN."
    )


@torch.inference_mode()
def spread(
    backbone: Backbone, batches: Iterable[Float[Tensor, "batch rgb row col"]]
) -> tuple[Float[Tensor, "chan"], int]:
    """Standard deviation of each channel of the map layer over all images and positions, and the number of images."""
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
    """Fold the factors into the weights of a layer, in place.

    Args:
        layer: result of `reader`.
        wanted: spread of each channel on Web images.
        found: spread of each channel on frames. A channel whose spread is 0 on either side is not changed.

    Returns:
        exp(mean of |ln factor|) over the channels.
    """
    alive = (wanted > 0) & (found > 0)
    factors = torch.where(alive, wanted / found.where(alive, 1), 1).clamp(1 / MOST, MOST)
    cells = layer.weight.shape[1] // len(factors)  # a flattened map has several inputs per channel
    inputs = factors.repeat_interleave(cells).to(layer.weight)
    layer.weight.mul_(inputs.view(1, -1, *(1,) * (layer.weight.dim() - 2)))
    return factors.log().abs().mean().exp().item()
