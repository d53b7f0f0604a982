"""Backbones for clips: 3-D networks cut after block 4, from which attention is computed, and after block 5."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError, some
from attn.models.network_input import Rgb
from attn.models.small_clip_cnn import BLOCK_4, SmallClipCnn
from attn.models.torchvision_models import load_torchvision

Modality = Literal["rgb", "flow"]
CHANNELS: Mapping[str, int] = {"rgb": 3, "flow": 2}
"""Number of input channels of each modality."""

KINETICS_MEAN: Rgb = (0.43216, 0.394666, 0.37645)
KINETICS_STD: Rgb = (0.22803, 0.22145, 0.216989)
_BATCHES_SEEN = ".num_batches_tracked"
_CLASSIFIER = ("fc.", "classifier.")

Cut = Callable[[Any], tuple[tuple[nn.Module, ...], tuple[nn.Module, ...]]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Description of a backbone.

    Attributes:
        cut: function from the network to its layers up to block 4, and those of block 5.
        channels: K4 and K5, numbers of channels after block 4 and block 5.
        stride: ratio of the shapes of block 4 and block 5, as (time, row, col).
        side: side of the clips for which it was made, in pixels.
    """

    cut: Cut
    channels: tuple[int, int]
    stride: tuple[int, int, int]
    side: int


class Blocks(NamedTuple):
    """Features of clips.

    Attributes:
        early: features after block 4, the input of the attention.
        late: features after block 5, which are pooled.
    """

    early: Float[Tensor, "clip early_chan early_time early_row early_col"]
    late: Float[Tensor, "clip chan time row col"]


def _cut_resnet(net: Any) -> tuple[tuple[nn.Module, ...], tuple[nn.Module, ...]]:
    return (net.stem, net.layer1, net.layer2, net.layer3), (net.layer4,)


def _cut_features(first: int) -> Cut:
    """Cut of a chain of layers.

    Args:
        first: index of the first layer of block 5.
    """
    return lambda net: (tuple(net.features[:first]), tuple(net.features[first:]))


CLIP_BACKBONES: dict[str, Plan] = {
    "r3d_18": Plan(_cut_resnet, (256, 512), (2, 2, 2), 112),
    "mc3_18": Plan(_cut_resnet, (256, 512), (1, 2, 2), 112),
    "r2plus1d_18": Plan(_cut_resnet, (256, 512), (2, 2, 2), 112),
    "s3d": Plan(_cut_features(13), (832, 1024), (2, 2, 2), 224),
    "small_clip_cnn": Plan(_cut_features(BLOCK_4), (48, 64), (2, 1, 1), 64),
}
"""Backbones by name: torchvision's, and a small one without pretrained weights.

Source: strides and widths are tested against the shapes of the features.
"""


class ClipBackbone(nn.Module):
    """A 3-D network without its classifier.

    Tensors have torchvision's names with the prefix `net.`. For flow, the first convolution is averaged over RGB and
    repeated for both components, so RGB weights start a flow network.

    Args:
        name: one of `CLIP_BACKBONES`.
        modality: rgb for three channels, or flow for two.

    Source: Wang et al. 2016 (TSN), section 3.3, for the first convolution.
    """

    def __init__(self, name: str, modality: Modality = "rgb") -> None:
        super().__init__()
        self.name, self.modality, self.plan = name, modality, plan_of(name)
        self.net = _network(name)
        if modality == "flow":
            _average_first(self.net)

    @property
    def early_channels(self) -> int:
        """K4, number of channels after block 4."""
        return self.plan.channels[0]

    @property
    def late_channels(self) -> int:
        """K5, number of channels after block 5."""
        return self.plan.channels[1]

    @property
    def stride(self) -> tuple[int, int, int]:
        """Ratio of the shapes of block 4 and block 5, as (time, row, col)."""
        return self.plan.stride

    def forward(self, clips: Float[Tensor, "clip chan time row col"]) -> Blocks:
        """Compute the features of normalised clips."""
        to_block_4, block_5 = self.plan.cut(self.net)
        early = clips
        for layer in to_block_4:
            early = layer(early)
        late = early
        for layer in block_5:
            late = layer(late)
        return Blocks(early, late)

    def import_weights(self, url: str, weights: Mapping[str, Tensor]) -> None:
        """Load weights with torchvision's names, such as those of Kinetics; a classifier among them is left out.

        RGB weights are averaged for a flow network.

        Args:
            url: URL of their file, for messages.
            weights: tensors by name.

        Raises:
            UsageError: a tensor is missing, unknown or of another shape.
        """
        own = self.net.state_dict()
        found = {key: tensor for key, tensor in weights.items() if not key.startswith(_CLASSIFIER)}
        first = f"{_first_convolution(self.net)[0]}.weight"
        if self.modality == "flow" and first in found and found[first].ndim == 5 and found[first].shape[1] == 3:
            found[first] = _averaged(found[first])
        missing = [key for key in own if key not in found and not key.endswith(_BATCHES_SEEN)]
        unknown = [key for key in found if key not in own]
        other = [key for key in found if key in own and found[key].shape != own[key].shape]
        for word, keys in (("missing", missing), ("unknown", unknown), ("of another shape", other)):
            if keys:
                raise UsageError(
                    f"{url}: the weights do not fit {self.name} ({word}: {some(keys, 3)}). Give the right --backbone."
                )
        self.net.load_state_dict(found, strict=False)


def plan_of(name: str) -> Plan:
    """Description of a backbone.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in CLIP_BACKBONES:
        raise UsageError(f"{name!r}: unknown backbone of clips. Choose one of {', '.join(CLIP_BACKBONES)}.")
    return CLIP_BACKBONES[name]


def map_shape(name: str, clip_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Time, rows and columns after block 5 for clips of some frames, rows and columns; no tensor is computed.

    Raises:
        UsageError: the name is unknown, or the clips are too small.
    """
    with torch.device("meta"):
        backbone = ClipBackbone(name).eval()
        try:
            time, rows, cols = backbone(torch.empty(1, 3, *clip_shape)).late.shape[2:]
        except RuntimeError as error:
            raise too_small(name, clip_shape) from error
    if not min(time, rows, cols):
        raise too_small(name, clip_shape)
    return time, rows, cols


def too_small(name: str, clip_shape: tuple[int, int, int]) -> UsageError:
    """Error for clips that a backbone reduces to nothing."""
    frames, rows, cols = clip_shape
    return UsageError(f"{frames} frames of {rows}×{cols} pixels: too few for {name}. Give longer or larger clips.")


def _network(name: str) -> nn.Module:
    """Network with random weights and without a classifier."""
    if name == "small_clip_cnn":
        return SmallClipCnn()
    net = load_torchvision().get_model(name, weights=None)
    for unused in ("avgpool", "fc", "classifier"):
        if hasattr(net, unused):
            delattr(net, unused)
    return net


def _first_convolution(net: nn.Module) -> tuple[str, nn.Conv3d]:
    return next((key, layer) for key, layer in net.named_modules() if isinstance(layer, nn.Conv3d))


def _averaged(weight: Tensor) -> Tensor:
    return weight.mean(1, keepdim=True).expand(-1, CHANNELS["flow"], -1, -1, -1).clone()


def _average_first(net: nn.Module) -> None:
    _, layer = _first_convolution(net)
    layer.weight = nn.Parameter(_averaged(layer.weight.detach()))
    layer.in_channels = CHANNELS["flow"]
