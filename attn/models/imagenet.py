"""ImageNet's weights and class names, as torchvision distributes them."""

import dataclasses
import re
import urllib.parse
from http.client import HTTPException
from pathlib import Path

import torch

from attn.errors import UsageError
from attn.models.backbone import BACKBONE_NAMES, mobilenet_width
from attn.models.torchvision_models import load_torchvision
from attn.models.weights_file import Description, Rgb, WeightsFile, read_weights_file

IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
IMAGENET_INPUT_SIZE = 224


def imagenet_class_names() -> tuple[str, ...]:
    """The 1000 names, in the order of the outputs."""
    return tuple(load_torchvision().ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def read_imagenet_weights(backbone: str | None) -> WeightsFile:
    """torchvision's first ImageNet weights of a backbone, downloaded once into torch's own cache.

    The first and not the newest: later recipes win accuracy by label smoothing and mixed images, and the published
    results of attention transfer rest on plainly trained networks.

    Raises:
        UsageError: no backbone, one without such weights, or the download fails.
    """
    if backbone is None:
        raise UsageError("imagenet: say which network with --backbone")
    name = "mobilenet_v2" if mobilenet_width(backbone) == 1 else backbone
    if name not in BACKBONE_NAMES or name == "small_cnn":
        raise UsageError(f"imagenet: torchvision has no weights of {name}; give a file as --weights")
    url = load_torchvision().get_model_weights(name)["IMAGENET1K_V1"].url
    file = read_weights_file(str(_downloaded(url)))
    trained = {"on": "ImageNet-1K", "source": url}
    described = Description(backbone, imagenet_class_names(), IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD, trained)
    return dataclasses.replace(file, described=described)


def _downloaded(url: str) -> Path:
    """The file in torch's cache; its name ends in the first digits of its hash, which the download checks."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urllib.parse.urlparse(url).path).name
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digits and digits[1], progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise UsageError(f"imagenet: cannot download {url} ({error}); fetch it elsewhere into {file}") from error
    return file
