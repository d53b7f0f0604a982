"""Where each family of networks is cut: the activations behind `map_layer` leave the trunk and enter the head.

The head is spelt out as a chain of layers, so that the way to its attention maps can be read off it. Of torchvision's
networks no types are named here: it takes seconds to load, and `small_cnn` does without.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Split:
    """The layers of a network in order: first those of the trunk, then those of the head."""

    trunk: tuple[nn.Module, ...]
    head: tuple[nn.Module, ...]
    map_layer: str


def split_resnet(net: Any) -> Split:
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    return Split((net.conv1, net.bn1, net.relu, net.maxpool, *stages), (net.avgpool, nn.Flatten(), net.fc), "layer4")


def split_vgg(net: Any) -> Split:
    """Cut before the last pooling and behind the ReLU: 14×14 cells, and pooling conserves the gradient's sum."""
    *conv_layers, last_pool = net.features.children()
    head = (last_pool, net.avgpool, nn.Flatten(), net.classifier)
    return Split(tuple(conv_layers), head, f"features.{len(conv_layers) - 1}")


def split_features(net: Any) -> Split:
    return Split((net.features,), (nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier), "features")


def split_squeezenet(net: Any) -> Split:
    return Split((net.features,), (net.classifier, nn.Flatten()), "features")


def split_densenet(net: Any) -> Split:
    """The ReLU that torchvision hides in `forward` belongs to the trunk."""
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
    """Turns images normalised by ImageNet's mean and std into the (x - 0.5) / 0.5 that GoogLeNet was trained on.

    torchvision does so for pretrained weights only (`transform_input`); here always, so that a name means one network.
    """

    SCALE_AND_SHIFT = tuple(
        (std / 0.5, (mean - 0.5) / 0.5) for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    )

    def forward(self, images: Float[Tensor, "batch 3 row col"]) -> Float[Tensor, "batch 3 row col"]:
        channels = zip(images.unbind(1), self.SCALE_AND_SHIFT, strict=True)
        return torch.stack([channel * scale + shift for channel, (scale, shift) in channels], dim=1)


# What to hand to torchvision beside the number of classes, and where to cut what it returns.
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
