"""ImageNet weights, as distributed with torchvision and timm, and class names."""

import dataclasses
import hashlib
import re
import urllib.parse
from http.client import HTTPException
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from attn.errors import UsageError
from attn.models.backbone import BACKBONE_NAMES, mobilenet_width, network_input
from attn.models.timm_networks import is_timm, published_weights
from attn.models.torchvision_models import load_torchvision
from attn.models.weights_file import Description, WeightsFile, read_weights_file


def imagenet_class_names() -> tuple[str, ...]:
    """Names of ImageNet's 1000 classes, in the order of the outputs."""
    return tuple(load_torchvision().ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def read_imagenet_weights(backbone: str | None) -> WeightsFile:
    """Published weights of a backbone, downloaded once: torchvision's original ones (V1), or those of timm.

    V1 is used instead of the newest weights, because later recipes gain accuracy through label smoothing and mixed
    images, while the published results of attention transfer use plainly trained networks.

    Raises:
        UsageError: no backbone is given, torchvision or timm has no weights for it, or the download fails.
    """
    if backbone is None:
        raise UsageError("imagenet: the network is not given. Give --backbone.")
    if is_timm(backbone):
        return _timm_weights(backbone)
    name = "mobilenet_v2" if mobilenet_width(backbone) == 1 else backbone
    if name not in BACKBONE_NAMES or name == "small_cnn":
        raise UsageError(f"imagenet: torchvision has no weights for {name}. Give a file with --weights.")
    url = load_torchvision().get_model_weights(name)["IMAGENET1K_V1"].url
    file = read_weights_file(str(downloaded(url, "imagenet")))
    trained = {"on": "ImageNet-1K", "source": url}
    return dataclasses.replace(file, described=_described(backbone, trained))


def _described(backbone: str, trained: dict[str, Any]) -> Description:
    own = network_input(backbone)
    return Description(
        backbone, imagenet_class_names(), own.size, own.mean, own.std, trained, resampling=own.resampling
    )


def _timm_weights(backbone: str) -> WeightsFile:
    """timm's weights; those of other classes than ImageNet's 1000 have no description, and so no class names."""
    tensors, outputs, source = published_weights(backbone)
    digest = hashlib.sha256(safetensors.torch.save(tensors)).hexdigest()
    described = _described(backbone, {"on": "ImageNet", "source": source})
    return WeightsFile("imagenet", tensors, digest, described if outputs == len(described.class_names) else None)


def downloaded(url: str, weights: str) -> Path:
    """Path of a file in torch's cache, downloaded if missing and verified by the hash digits in its name.

    Args:
        url: URL of the file.
        weights: name of the weights, for messages.

    Raises:
        UsageError: the download fails.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urllib.parse.urlparse(url).path).name
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digits and digits[1], progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise UsageError(f"{weights}: cannot download {url} ({error}). Download it manually to {file}.") from error
    return file
