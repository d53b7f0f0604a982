"""ImageNet weights and class names, as distributed with torchvision."""

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
    """Names of ImageNet's 1000 classes, in the order of the outputs."""
    return tuple(load_torchvision().ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def read_imagenet_weights(backbone: str | None) -> WeightsFile:
    """torchvision's original ImageNet weights (V1) of a backbone, downloaded once into torch's cache.

    V1 is used instead of the newest weights, because later recipes gain accuracy through label smoothing and mixed
    images, while the published results of attention transfer use plainly trained networks.

    Raises:
        UsageError: no backbone is given, torchvision has no weights for it, or the download fails.
    """
    if backbone is None:
        raise UsageError("imagenet: the network is not given. Give --backbone.")
    name = "mobilenet_v2" if mobilenet_width(backbone) == 1 else backbone
    if name not in BACKBONE_NAMES or name == "small_cnn":
        raise UsageError(f"imagenet: torchvision has no weights for {name}. Give a file with --weights.")
    url = load_torchvision().get_model_weights(name)["IMAGENET1K_V1"].url
    file = read_weights_file(str(_downloaded(url)))
    trained = {"on": "ImageNet-1K", "source": url}
    described = Description(backbone, imagenet_class_names(), IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD, trained)
    return dataclasses.replace(file, described=described)


def _downloaded(url: str) -> Path:
    """Path of a file in torch's cache, downloaded if missing and verified by the hash digits in its name."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urllib.parse.urlparse(url).path).name
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digits and digits[1], progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise UsageError(f"imagenet: cannot download {url} ({error}). Download it manually to {file}.") from error
    return file
