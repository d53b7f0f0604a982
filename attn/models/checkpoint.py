"""A trained CNN as one thing: the network, its classes, and how images must be prepared for it.

`load_weights` is the only way in, from a checkpoint of this program, a bare state dict or ImageNet's weights; what
does not fit is refused with one line before any work is done.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attn.classes import check_class_names
from attn.errors import UsageError
from attn.models.backbone import Backbone, build_backbone
from attn.models.fit import import_fitting
from attn.models.imagenet import (
    IMAGENET_INPUT_SIZE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    imagenet_class_names,
    read_imagenet_weights,
)
from attn.models.weights_file import (
    METHOD_PREFIX,
    Description,
    Rgb,
    WeightsFile,
    description_of,
    read_weights_file,
    write_weights_file,
)

MOST_INPUT_SIZE = 2048
"""A side, in pixels; the largest of torchvision's networks take 600. A file may claim any size, and the first image
that passes takes memory by it: a VGG at this one some 4 GB."""

MOST_CLASSES = 100_000
"""In a file; ImageNet's largest list has 22 thousand. A name of a few bytes costs kilobytes of the classifier."""


@dataclasses.dataclass(frozen=True)
class Cnn:
    """A network with everything needed to run it.

    Attributes:
        backbone: in eval mode, on the CPU.
        class_names: one per output.
        input_size: side of the square input, in pixels.
        mean: per channel, of images in 0-1.
        std: per channel, of images in 0-1.
        trained: how, freely, in JSON types.
        weights_sha256: of the file it came from; empty for random weights.
        new_classifier: the classifier, or the whole head, was drawn at random when the weights were loaded.
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


def save_checkpoint(
    url: str,
    cnn: Cnn,
    *,
    without_head: bool = False,
    method: Mapping[str, Any] | None = None,
    method_tensors: Mapping[str, Tensor] | None = None,
) -> str:
    """Writes one `.safetensors` file, local or s3://, whole or not at all. Returns its sha256.

    Args:
        url: URL of the file.
        cnn: the network.
        without_head: leave out all weights after the map layer. Such a file can only start a training, which draws a
            new classifier.
        method: of a model file, see `attn.models.model_file`.
        method_tensors: of that method.

    Raises:
        UsageError: another suffix, or the storage refuses.
    """
    if not url.endswith(".safetensors"):
        raise UsageError(f"{url}: a checkpoint is one .safetensors file; name it so")
    description = Description(
        cnn.backbone_name, cnn.class_names, cnn.input_size, cnn.mean, cnn.std, cnn.trained, method
    )
    left_out = cnn.backbone.names_below(cnn.backbone.head) if without_head else set[str]()
    weights = {key: tensor for key, tensor in cnn.backbone.export_weights().items() if key not in left_out}
    others = {f"{METHOD_PREFIX}{name}": tensor for name, tensor in (method_tensors or {}).items()}
    return write_weights_file(url, weights | others, description)


def load_checkpoint(url: str) -> Cnn:
    """Reads what `save_checkpoint` wrote.

    Raises:
        UsageError: anything else.
    """
    return cnn_of(read_weights_file(url))


def cnn_of(file: WeightsFile) -> Cnn:
    """Network of a checkpoint that was read.

    Raises:
        UsageError: it does not say what network it is, or does not hold all of it.
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
) -> Cnn:
    """A network with weights, in eval mode.

    Args:
        url: a `.safetensors` or `.pth` file, local or s3://, or `imagenet`.
        backbone: its name; needed where the file does not say.
        classes: names of the outputs; needed where the file does not say and has not ImageNet's 1000.
        mean: of the input's channels; default: the file's, else ImageNet's.
        std: likewise.
        input_size: in pixels; default: the file's, else 224.
        new_classifier: draw a new classifier (torch's global random state) where the file has none or one for other
            classes. For training only: elsewhere such a file is an error.

    Raises:
        UsageError: one line that names what does not fit.
    """
    file = read_imagenet_weights(backbone) if url == "imagenet" else read_weights_file(url)
    return _load(file, backbone, classes, mean, std, input_size, new_classifier=new_classifier)


def check_input_size(cnn: Cnn) -> None:
    """One forward pass: some networks cannot take small images.

    Raises:
        UsageError: this one cannot take images of `cnn.input_size`, or they are absurdly large.
    """
    size = cnn.input_size
    _check_size(size, cnn.backbone_name)
    try:
        with torch.inference_mode():
            cnn.backbone.eval()(torch.zeros(1, 3, size, size))
    except RuntimeError as error:
        raise UsageError(
            f"{cnn.backbone_name} cannot take images of {size} pixels ({error}); raise --input-size"
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
) -> Cnn:
    name, names = _backbone_name(file, backbone), _class_names(file, classes, other_allowed=new_classifier)
    own = file.described or Description(name, names, IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD, trained={})
    size, mean, std = input_size or own.input_size, mean or own.mean, std or own.std
    _check_size(size, file.url)
    if size < 1 or min(std) <= 0:
        raise UsageError(f"an input of {size} pixels with standard deviations {std} is none; all must be above 0")
    net = build_backbone(name, len(names)).eval()
    drawn = import_fitting(net, file, may_draw=new_classifier, must_draw=names != own.class_names)
    return Cnn(net, name, names, size, mean, std, own.trained, file.sha256, drawn)


def _check_size(size: int, of: str) -> None:
    if size > MOST_INPUT_SIZE:
        raise UsageError(
            f"{of}: an input of {size} pixels is too large; give --input-size of {MOST_INPUT_SIZE} at most"
        )


def _backbone_name(file: WeightsFile, given: str | None) -> str:
    found = file.described.backbone if file.described else None
    if found and given and found != given:
        raise UsageError(f"{file.url} holds a {found}, not a {given}; leave --backbone away or give other weights")
    name = found or given
    if name is None:
        raise UsageError(f"{file.url} does not say what network it is; say it with --backbone")
    return name


def _class_names(file: WeightsFile, given: Sequence[str] | None, *, other_allowed: bool) -> tuple[str, ...]:
    found = file.described.class_names if file.described else None
    if found and len(found) > MOST_CLASSES:
        raise UsageError(f"{file.url} names {len(found)} classes, more than {MOST_CLASSES}; give other weights")
    if given is None:
        return found or imagenet_class_names()
    names = check_class_names(given, where="the class list")
    if found and found != names and not other_allowed:
        raise UsageError(
            f"{file.url} was trained for {_shown(found)}, the class list has {_shown(names)}; "
            "leave --classes away or give the list it was trained with"
        )
    return names


def _shown(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
