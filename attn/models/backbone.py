"""A CNN cut in two at its map layer, by name: `head(trunk(images))` are its logits, to the last bit.

Cutting needs no hooks, and everything that works on maps (attribution, storage, later models) sees two plain
functions. The price is a line per family of networks in `split.py`.
"""

import re
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.small_cnn import SmallCnn
from attn.models.split import TORCHVISION, Split, split_features
from attn.models.torchvision_models import load_torchvision

BACKBONE_NAMES = (*TORCHVISION, "small_cnn")
"""Beside these there is `mobilenet_v2_wNNN`, MobileNetV2 of NNN hundredths of its width."""

_SLIM_MOBILENET = re.compile(r"mobilenet_v2_w(\d{2,3})")


class Backbone(nn.Module):
    """A network as a trunk (images → activations of the map layer) and a head (activations → logits).

    Its own state dict follows that cut; `export_weights` and `import_weights` speak the names of the network it was
    made from, torchvision's for all but `small_cnn`.
    """

    def __init__(self, name: str, net: nn.Module, split: Split) -> None:
        super().__init__()
        self.name = name
        self.map_layer = split.map_layer
        self.trunk = nn.Sequential(*split.trunk)
        self.head = nn.Sequential(*split.head)
        # Both hold the very same tensors, so no table of names is needed; a tensor left out of the cut is a KeyError.
        cut_names = {id(tensor): key for key, tensor in self.state_dict(keep_vars=True).items()}
        self._names = {key: cut_names[id(tensor)] for key, tensor in net.state_dict(keep_vars=True).items()}

    def forward(self, images: Float[Tensor, "batch 3 row col"]) -> Float[Tensor, "batch cls"]:
        return self.head(self.trunk(images))

    @property
    def classifier(self) -> nn.Linear | nn.Conv2d:
        """The layer that is drawn again for other classes: the last one with one output per class."""
        return [layer for layer in self.head.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]

    @property
    def num_classes(self) -> int:
        return self.classifier.weight.shape[0]

    def export_weights(self) -> dict[str, Tensor]:
        """The live weights under the names that torchvision gives them."""
        mine = self.state_dict()
        return {theirs: mine[ours] for theirs, ours in self._names.items()}

    def import_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copies weights, named as torchvision names them, over those of the same name; others stay as they are."""
        self.load_state_dict({self._names[key]: tensor for key, tensor in weights.items()}, strict=False)

    def names_below(self, part: nn.Module) -> set[str]:
        """torchvision's names of the weights of one part of the network."""
        below = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
        mine = self.state_dict(keep_vars=True)
        return {theirs for theirs, ours in self._names.items() if id(mine[ours]) in below}


def build_backbone(name: str, num_classes: int) -> Backbone:
    """A network with random weights; every backbone takes images normalised by ImageNet's mean and std.

    Args:
        name: one of `BACKBONE_NAMES` or `mobilenet_v2_wNNN`.
        num_classes: outputs of the classifier.

    Raises:
        UsageError: no network of that name.
    """
    if name == "small_cnn":
        net = SmallCnn(num_classes)
        return Backbone(name, net, split_features(net))
    tv = load_torchvision()
    width = mobilenet_width(name)
    if width is not None:
        net = tv.mobilenet_v2(weights=None, num_classes=num_classes, width_mult=width)
        return Backbone(name, net, split_features(net))
    if name not in TORCHVISION:
        names = ", ".join(BACKBONE_NAMES)
        raise UsageError(f"unknown backbone {name!r}; choose one of {names}, or mobilenet_v2_wNNN (width NNN/100)")
    settings, split = TORCHVISION[name]
    net = tv.get_model(name, weights=None, num_classes=num_classes, **settings)
    return Backbone(name, net, split(net))


def mobilenet_width(name: str) -> float | None:
    """0.35 for `mobilenet_v2_w035`, nothing for names of other networks."""
    match = _SLIM_MOBILENET.fullmatch(name)
    width = int(match[1]) / 100 if match else 0
    return width or None
