"""Split points of the network families: the trunk ends with `map_layer`, and the head takes its output.

Heads are explicit chains of layers, from which the method for attention maps is chosen. Parameters are not annotated
with torchvision's types, because torchvision takes seconds to import and `small_cnn` does not need it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Split:
    """Layers of a network in order, divided into trunk and head, with the name of the map layer."""

    trunk: tuple[nn.Module, ...]
    head: tuple[nn.Module, ...]
    map_layer: str


def split_resnet(net: Any) -> Split:
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    return Split((net.conv1, net.bn1, net.relu, net.maxpool, *stages), (net.avgpool, nn.Flatten(), net.fc), "layer4")


def split_vgg(net: Any) -> Split:
    """Split after the last ReLU and before the last pooling: maps have 14×14 cells, and pooling preserves the
    gradient's sum.
    """
    *conv_layers, last_pool = net.features.children()
    head = (last_pool, net.avgpool, nn.Flatten(), net.classifier)
    return Split(tuple(conv_layers), head, f"features.{len(conv_layers) - 1}")


def split_features(net: Any) -> Split:
    return Split((net.features,), (nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier), "features")


def split_squeezenet(net: Any) -> Split:
    return Split((net.features,), (net.classifier, nn.Flatten()), "features")


def split_densenet(net: Any) -> Split:
    """Split after the last ReLU, which torchvision applies in `forward` only."""
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier)
    return Split((net.features, nn.ReLU(inplace=True)), head, "features+relu")


def split_convnext(net: Any) -> Split:
    return Split((net.features,), (net.avgpool, net.classifier), "features")


def split_googlenet(net: Any) -> Split:
    trunk = (
        *(GoogLeNetInput(), net.conv1, net.maxpool1, net.conv2, net.conv3, net.maxpool2),
        *(net.inception3a, net.inception3b, net.maxpool3),
        *(net.inception4a, net.inception4b, net.inception4c, net.inception4d, net.inception4e, net.maxpool4),
        *(net.inception5a, net.inception5b),
    )
    return Split(trunk, (net.avgpool, nn.Flatten(), net.dropout, net.fc), "inception5b")


class GoogLeNetInput(nn.Module):
    """Convert images normalised with ImageNet's mean and std to (x - 0.5) / 0.5, GoogLeNet's training input.

    torchvision does so for pretrained weights only (`transform_input`). Here it is always done, so that one name means
    one network.
    """

    SCALE_AND_SHIFT = tuple(
        (std / 0.5, (mean - 0.5) / 0.5) for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    )

    def forward(self, images: Float[Tensor, "batch 3 row col"]) -> Float[Tensor, "batch 3 row col"]:
        channels = zip(images.unbind(1), self.SCALE_AND_SHIFT, strict=True)
        return torch.stack([channel * scale + shift for channel, (scale, shift) in channels], dim=1)


# Name: (keyword arguments of torchvision's constructor besides num_classes, split function).
TORCHVISION: dict[str, tuple[dict[str, Any], Callable[[Any], Split]]] = {
    **{f"resnet{depth}": ({}, split_resnet) for depth in (18, 34, 50, 101, 152)},
    "vgg16": ({}, split_vgg),
    "vgg16_bn": ({}, split_vgg),
    "squeezenet1_0": ({}, split_squeezenet),
    "squeezenet1_1": ({}, split_squeezenet),
    "mobilenet_v2": ({}, split_features),
    "densenet121": ({}, split_densenet),
    "googlenet": ({"aux_logits": False, "init_weights": True}, split_googlenet),
    "efficientnet_b0": ({}, split_features),
    "convnext_tiny": ({}, split_convnext),
}
