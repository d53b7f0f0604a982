"""CNN backbones by name, each split at its map layer: `head(trunk(images))` equals the logits bit for bit.

Splitting needs no hooks: code that works on maps (attribution, storage, later models) calls two plain functions. The
price is one entry per network family in `split.py`.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.clip_split import split_clip
from attn.models.network_input import NetworkInput
from attn.models.open_clip_networks import clip_input, create_clip, is_open_clip
from attn.models.small_cnn import SmallCnn
from attn.models.timm_networks import create_timm, is_timm, timm_input
from attn.models.torchvision_models import load_torchvision
from attn.models.trunk_head import TORCHVISION, Split, split_features

BACKBONE_NAMES = (*TORCHVISION, "small_cnn")
"""Names of the backbones.

`mobilenet_v2_wNNN`, MobileNetV2 with a width multiplier of NNN/100, `timm:<name>` and `open_clip:<name>` are also
valid."""

_SLIM_MOBILENET = re.compile(r"mobilenet_v2_w(\d{2,3})")


class Backbone(nn.Module):
    """A network as a trunk (images → activations of the map layer) and a head (activations → logits).

    Names in its state dict follow the split. `export_weights` and `import_weights` use the names of the original
    network, which are those of torchvision, timm or open_clip except for `small_cnn`.
    """

    def __init__(self, name: str, net: nn.Module, split: Split) -> None:
        super().__init__()
        self.name = name
        self.map_layer = split.map_layer
        self.trunk = nn.Sequential(*split.trunk)
        self.head = nn.Sequential(*split.head)
        # Both share the same tensors, so names are matched by identity; a tensor missing from the split is a KeyError.
        cut_names = {id(tensor): key for key, tensor in self.state_dict(keep_vars=True).items()}
        self._names = {key: cut_names[id(tensor)] for key, tensor in net.state_dict(keep_vars=True).items()}

    def forward(self, images: Float[Tensor, "batch chan row col"]) -> Float[Tensor, "batch cls"]:
        return self.head(self.trunk(images))

    @property
    def classifier(self) -> nn.Linear | nn.Conv2d:
        """Last layer with one output per class, which is re-initialised for other classes."""
        return [layer for layer in self.head.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]

    @property
    def num_classes(self) -> int:
        return self.classifier.weight.shape[0]

    def export_weights(self) -> dict[str, Tensor]:
        """Weights under torchvision's names, without copying."""
        weights = self.state_dict()
        return {original: weights[name] for original, name in self._names.items()}

    def import_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights given under torchvision's names; weights that are not given do not change."""
        self.load_state_dict({self._names[key]: tensor for key, tensor in weights.items()}, strict=False)

    def names_below(self, part: nn.Module) -> set[str]:
        """torchvision's names of the weights of one part of the network."""
        below = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
        weights = self.state_dict(keep_vars=True)
        return {original for original, name in self._names.items() if id(weights[name]) in below}


RGB_CHANNELS = 3


def build_backbone(name: str, num_classes: int, channels: int = RGB_CHANNELS) -> Backbone:
    """Build a network with random weights; `network_input` says which images it expects.

    Args:
        name: one of `BACKBONE_NAMES`, `mobilenet_v2_wNNN`, `timm:<name>` or `open_clip:<name>`.
        num_classes: number of outputs of the classifier.
        channels: number of channels of the input; if not 3, the first convolution is replaced.

    Raises:
        UsageError: the name is unknown, or the network of timm or open_clip is not supported.
    """
    net, split = _built(name, num_classes)
    if channels != RGB_CHANNELS:
        if name == "googlenet":  # its own normalisation is of R, G and B
            raise UsageError(f"{name}: takes only RGB images. Give another --backbone.")
        _widen(net, channels)
    return Backbone(name, net, split(net))


def _built(name: str, num_classes: int) -> tuple[nn.Module, Callable[[Any], Split]]:
    if is_timm(name):
        from attn.models.timm_split import split_timm  # imports parts of timm

        return create_timm(name, num_classes), functools.partial(split_timm, name)
    if is_open_clip(name):
        return create_clip(name, num_classes), functools.partial(split_clip, name)
    if name == "small_cnn":
        return SmallCnn(num_classes), split_features
    tv = load_torchvision()
    width = mobilenet_width(name)
    if width is not None:
        return tv.mobilenet_v2(weights=None, num_classes=num_classes, width_mult=width), split_features
    if name not in TORCHVISION:
        names = ", ".join(BACKBONE_NAMES)
        raise UsageError(
            f"{name!r}: unknown backbone. Choose one of {names}, or mobilenet_v2_wNNN (width NNN/100), or timm:<name>, "
            "or open_clip:<name>."
        )
    settings, split = TORCHVISION[name]
    return tv.get_model(name, weights=None, num_classes=num_classes, **settings), split


def _widen(net: nn.Module, channels: int) -> None:
    """Replace the first convolution by one of other input channels, with random weights."""
    name, old = next((name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d))
    parent, _, own = name.rpartition(".")
    how = {each: getattr(old, each) for each in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    new = nn.Conv2d(channels, old.out_channels, **how, bias=old.bias is not None)
    setattr(net.get_submodule(parent), own, new)


def network_input(name: str) -> NetworkInput:
    """Input that a network expects, if its weights do not come with another one.

    Raises:
        UsageError: the name is unknown to timm or open_clip.
    """
    if is_open_clip(name):
        return clip_input(name)
    return timm_input(name) if is_timm(name) else NetworkInput()


def mobilenet_width(name: str) -> float | None:
    """Width multiplier of a MobileNetV2, e.g. 0.35 for `mobilenet_v2_w035`; None for names of other networks."""
    match = _SLIM_MOBILENET.fullmatch(name)
    width = int(match[1]) / 100 if match else 0
    return width or None
