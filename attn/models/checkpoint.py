"""Trained CNNs: a network with its classes and the preprocessing of its input.

`load_weights` reads checkpoints of this program, bare state dicts and ImageNet weights. Weights that do not fit the
network are rejected with a one-line error before any work is done.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attn.classes import check_class_names
from attn.errors import UsageError, refuse_flag
from attn.models.backbone import RGB_CHANNELS, Backbone, build_backbone, network_input
from attn.models.fit import import_fitting
from attn.models.flow_input import MEAN as FLOW_MEAN
from attn.models.flow_input import STD as FLOW_STD
from attn.models.flow_input import FlowInput
from attn.models.imagenet import imagenet_class_names, read_imagenet_weights
from attn.models.network_input import IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD, Rgb
from attn.models.weights_file import (
    METHOD_PREFIX,
    Description,
    WeightsFile,
    description_of,
    read_weights_file,
    write_weights_file,
)
from attn.video.transform import BILINEAR, Resampling

MOST_INPUT_SIZE = 2048
"""Maximum side of the input, in pixels; the largest of torchvision's networks take 600. A file can claim any size, and
memory use grows with it: a VGG at this size takes about 4 GB."""

MOST_CLASSES = 100_000
"""Maximum number of classes in a file; ImageNet's largest list has 22 thousand. Each name of a few bytes costs
kilobytes of memory in the classifier."""


@dataclasses.dataclass(frozen=True)
class Cnn:
    """A network with everything needed to run it.

    Attributes:
        backbone: network in eval mode, on the CPU.
        class_names: one name per output.
        input_size: side of the square input, in pixels.
        mean: mean of each channel, for images in 0-1.
        std: standard deviation of each channel, for images in 0-1.
        trained: free-form record of the training, in JSON types.
        weights_sha256: SHA-256 of the weights file; empty for random weights.
        new_classifier: True if the classifier, or the whole head, was randomly initialised on loading.
        resampling: part of an image that the network sees, and the interpolation.
        flow: stacks of optical flow that the network takes; None if it takes images.
    """

    backbone: Backbone
    backbone_name: str
    class_names: tuple[str, ...]
    input_size: int = IMAGENET_INPUT_SIZE
    mean: Rgb = IMAGENET_MEAN
    std: Rgb = IMAGENET_STD
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights_sha256: str = ""
    new_classifier: bool = False
    resampling: Resampling = BILINEAR
    flow: FlowInput | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the input."""
        return RGB_CHANNELS if self.flow is None else self.flow.channels

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the input, of each channel, or of all channels of flow."""
        return (self.mean, self.std) if self.flow is None else (self.mean[:1], self.std[:1])


def untrained_cnn(
    backbone: str, class_names: tuple[str, ...], mean: Rgb | None, std: Rgb | None, input_size: int | None
) -> Cnn:
    """Network of images with random weights, in training mode; what is None about its input is its own default.

    Raises:
        UsageError: the backbone does not exist, or is not supported.
    """
    own, net = network_input(backbone), build_backbone(backbone, len(class_names))
    size = own.size if input_size is None else input_size
    return Cnn(net, backbone, class_names, size, mean or own.mean, std or own.std, resampling=own.resampling)


def untrained_flow_cnn(backbone: str, class_names: tuple[str, ...], flow: FlowInput) -> Cnn:
    """Network of optical flow with random weights, in training mode.

    Raises:
        UsageError: the backbone does not exist, or is not supported.
    """
    net = build_backbone(backbone, len(class_names), flow.channels)
    return _of_flow(Cnn(net, backbone, class_names), flow)


def cross_modality(cnn: Cnn, flow: FlowInput) -> Cnn:
    """Network of optical flow that begins with the weights of one of images.

    The first convolution is the mean of the three of R, G and B, for each channel of the flow.

    Source: Wang et al. 2016 (TSN), section 3.2, cross modality pre-training.
    """
    net = build_backbone(cnn.backbone_name, len(cnn.class_names), flow.channels).eval()
    expected, weights = net.export_weights(), cnn.backbone.export_weights()
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            weights[name] = tensor.mean(1, keepdim=True).expand_as(expected[name])
    net.import_weights(weights)
    return _of_flow(dataclasses.replace(cnn, backbone=net), flow)


def _of_flow(cnn: Cnn, flow: FlowInput) -> Cnn:
    size, resampling = int(flow.kind["input_size"]), Resampling.parse(str(flow.kind["preprocessing"]))
    about = {"input_size": size, "mean": FLOW_MEAN, "std": FLOW_STD, "resampling": resampling}
    return dataclasses.replace(cnn, **about, flow=flow)


def save_checkpoint(
    url: str,
    cnn: Cnn,
    *,
    without_head: bool = False,
    method: Mapping[str, Any] | None = None,
    method_tensors: Mapping[str, Tensor] | None = None,
) -> str:
    """Write a checkpoint as one `.safetensors` file, atomically. Returns its SHA-256.

    Args:
        url: URL of the file, local or s3://.
        cnn: network to save.
        without_head: leave out all weights after the map layer. Such a file can only start a training run, which
            initialises a new classifier.
        method: record of the scoring method, for a model file; see `attn.models.model_file`.
        method_tensors: tensors of that method.

    Raises:
        UsageError: the suffix is not `.safetensors`, or the storage returns an error.
    """
    if not url.endswith(".safetensors"):
        raise UsageError(f"{url}: checkpoints must be .safetensors files. Change the file name.")
    normalised = cnn.input_size, cnn.mean, cnn.std
    description = Description(
        cnn.backbone_name, cnn.class_names, *normalised, cnn.trained, method, cnn.resampling, cnn.flow
    )
    left_out = cnn.backbone.names_below(cnn.backbone.head) if without_head else set[str]()
    weights = {key: tensor for key, tensor in cnn.backbone.export_weights().items() if key not in left_out}
    others = {f"{METHOD_PREFIX}{name}": tensor for name, tensor in (method_tensors or {}).items()}
    return write_weights_file(url, weights | others, description)


def load_checkpoint(url: str) -> Cnn:
    """Load a checkpoint that `save_checkpoint` wrote.

    Raises:
        UsageError: the file is not such a checkpoint.
    """
    return cnn_of(read_weights_file(url))


def cnn_of(file: WeightsFile) -> Cnn:
    """Network from a checkpoint that has been read.

    Raises:
        UsageError: the file does not name its network, or lacks some of its weights.
    """
    description_of(file)
    return _load(file, None, None, None, None, None, new_classifier=False)


def load_weights(
    url: str,
    backbone: str | None = None,
    classes: Sequence[str] | None = None,
    mean: Rgb | None = None,
    std: Rgb | None = None,
    input_size: int | None = None,
    *,
    new_classifier: bool = False,
    of_flow: bool = False,
) -> Cnn:
    """Load a network with its weights, in eval mode.

    Args:
        url: URL of a `.safetensors` or `.pth` file, local or s3://, or `imagenet`.
        backbone: name of the network; required if the file does not name it.
        classes: names of the outputs; required if the file does not name them and they are not ImageNet's 1000.
        mean: mean of each input channel; default: the file's, otherwise the network's (`network_input`).
        std: standard deviation of each input channel; default: the file's, otherwise the network's.
        input_size: side of the input in pixels; default: the file's, otherwise the network's.
        new_classifier: initialise a new classifier (from torch's global random state) if the file has none or one for
            other classes. For training only: otherwise such a file is an error.
        of_flow: accept a network of optical flow, too.

    Raises:
        UsageError: the weights do not fit; the message names the tensor or setting.
    """
    file = read_imagenet_weights(backbone) if url == "imagenet" else read_weights_file(url)
    return _load(file, backbone, classes, mean, std, input_size, new_classifier=new_classifier, of_flow=of_flow)


def check_input_size(cnn: Cnn) -> None:
    """Check the input size with one forward pass, because some networks cannot process small images.

    Raises:
        UsageError: the network cannot process images of `cnn.input_size`, the size exceeds `MOST_INPUT_SIZE`, or a mean
            or standard deviation is not finite.
    """
    refuse_flag("mean", " ".join(map(str, cnn.mean)), "must be finite", not all(map(math.isfinite, cnn.mean)))
    wrong = not all(0 < value < math.inf for value in cnn.std)
    refuse_flag("std", " ".join(map(str, cnn.std)), "must be finite and above 0", wrong)
    size = cnn.input_size
    _check_size(size, cnn.backbone_name)
    try:
        with torch.inference_mode():
            cnn.backbone.eval()(torch.zeros(1, cnn.channels, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:  # timm's networks check sizes in all three ways
        why = " ".join(str(error).split()).rstrip(".")
        raise UsageError(
            f"{cnn.backbone_name}: cannot process images of {size} pixels ({why}). Change --input-size."
        ) from error


def _load(
    file: WeightsFile,
    backbone: str | None,
    classes: Sequence[str] | None,
    mean: Rgb | None,
    std: Rgb | None,
    input_size: int | None,
    *,
    new_classifier: bool,
    of_flow: bool = False,
) -> Cnn:
    if file.described and file.described.flow and not of_flow:
        raise UsageError(f"{file.url}: a CNN of optical flow. Give a CNN of images, or a flow store with --flow.")
    name, names = _backbone_name(file, backbone), _class_names(file, classes, other_allowed=new_classifier)
    own = file.described or _undescribed(name, names)
    size, mean, std = input_size or own.input_size, mean or own.mean, std or own.std
    _check_size(size, file.url)
    if size < 1 or min(std) <= 0:
        raise UsageError(
            f"{file.url}: input size {size} and standard deviations {std} must be above 0. "
            "Change --input-size or --std."
        )
    flow = own.flow
    net = build_backbone(name, len(names), RGB_CHANNELS if flow is None else flow.channels).eval()
    drawn = import_fitting(net, file, may_draw=new_classifier, must_draw=names != own.class_names)
    return Cnn(net, name, names, size, mean, std, own.trained, file.sha256, drawn, own.resampling, flow)


def _undescribed(name: str, class_names: tuple[str, ...]) -> Description:
    own = network_input(name)
    return Description(name, class_names, own.size, own.mean, own.std, {}, resampling=own.resampling)


def _check_size(size: int, of: str) -> None:
    if size > MOST_INPUT_SIZE:
        raise UsageError(
            f"{of}: an input of {size} pixels is too large. Give an --input-size of at most {MOST_INPUT_SIZE}."
        )


def _backbone_name(file: WeightsFile, given: str | None) -> str:
    found = file.described.backbone if file.described else None
    if found and given and found != given:
        raise UsageError(f"{file.url}: contains a {found}, not a {given}. Omit --backbone or give other weights.")
    name = found or given
    if name is None:
        raise UsageError(f"{file.url}: the file does not name its network. Give --backbone.")
    return name


def _class_names(file: WeightsFile, given: Sequence[str] | None, *, other_allowed: bool) -> tuple[str, ...]:
    found = file.described.class_names if file.described else None
    if found and len(found) > MOST_CLASSES:
        raise UsageError(f"{file.url}: has {len(found)} classes, more than {MOST_CLASSES}. Give other weights.")
    if given is None:
        return found or imagenet_class_names()
    names = check_class_names(given, where="the class list")
    if found and found != names and not other_allowed:
        raise UsageError(
            f"{file.url}: was trained for {_shown(found)}, but the class list has {_shown(names)}. "
            "Omit --classes or give the list used in training."
        )
    return names


def _shown(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
