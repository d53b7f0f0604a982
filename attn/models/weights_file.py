"""Files of weights, read whole and checked before anything is built: nothing in them is executed.

A checkpoint of this program is a `.safetensors` file under torchvision's tensor names whose metadata says what the
network is, so that any torchvision program can load it too. Bare files without that metadata are read as well.
"""

import dataclasses
import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from attn.errors import UsageError
from attn.models.tensors_file import check_finite, parse_tensors, write_tensors
from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors

Rgb = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Description:
    """What a checkpoint says of itself: JSON under one key of a safetensors file's metadata."""

    backbone: str
    class_names: tuple[str, ...]
    input_size: int
    mean: Rgb
    std: Rgb
    trained: Mapping[str, Any]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Raises ValueError, KeyError or TypeError for a text that describes no checkpoint."""
        values = json.loads(text)
        (r, g, b), (sr, sg, sb) = values["mean"], values["std"]
        names, trained = tuple(map(str, values["class_names"])), dict(values["trained"])
        return cls(str(values["backbone"]), names, int(values["input_size"]), (r, g, b), (sr, sg, sb), trained)


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """Tensors under the names the file gives them, all finite; `described` is None for a bare state dict."""

    url: str
    tensors: dict[str, Tensor]
    sha256: str
    described: Description | None = None


def read_weights_file(url: str) -> WeightsFile:
    """A `.safetensors` file, or a `.pth`/`.pt` state dict read without unpickling anything but tensors.

    The file passes through memory once more than its tensors need.

    Args:
        url: local or s3://.

    Raises:
        UsageError: not there, not such a file, or a weight is NaN or infinite.
    """
    if not url.endswith((".safetensors", ".pth", ".pt")):
        raise UsageError(f"{url}: give weights as .safetensors, .pth or .pt")
    fs, path = open_filesystem(url)
    with storage_errors(url):
        data = read_bytes(fs, path)
    tensors, text = parse_tensors(url, data) if url.endswith(".safetensors") else (_state_dict(url, data), None)
    check_finite(url, tensors)
    return WeightsFile(url, tensors, hashlib.sha256(data).hexdigest(), _description(url, text))


def write_weights_file(url: str, tensors: Mapping[str, Tensor], description: Description) -> str:
    """Writes a checkpoint that appears whole or not at all; equal weights make equal bytes. Returns its sha256."""
    return write_tensors(url, tensors, description.to_json())


def _state_dict(url: str, data: bytes) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of TorchScript archives, which are refused right after
            weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(f"{url} holds more than tensors; save model.state_dict() alone") from error
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UsageError(f"{url} is no file of torch.save, or not all of one") from error
    if not isinstance(weights, Mapping) or not weights:
        raise UsageError(f"{url} holds a {type(weights).__name__} and no state dict; save model.state_dict()")
    strange = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        raise UsageError(f"{url} is no bare state dict ({strange[0]} is no tensor); save model.state_dict() alone")
    return dict(weights)


def _description(url: str, text: str | None) -> Description | None:
    if text is None:
        return None
    try:
        return Description.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{url}: its metadata are not those of a checkpoint ({error!r})") from error
