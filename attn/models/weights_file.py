"""Files of weights, read whole and checked before anything is built: nothing in them is executed.

A checkpoint of this program is a `.safetensors` file under torchvision's tensor names whose metadata says what the
network is, so that any torchvision program can load it too. Bare files without that metadata are read as well.
"""

import dataclasses
import hashlib
import io
import json
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from attn.errors import UsageError
from attn.models.tensors_file import parse_tensors, write_tensors
from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors

Rgb = tuple[float, float, float]

METHOD_PREFIX = "method."
"""Beginning of the names of tensors that are not the CNN's."""

TORCH_SAVE = (".pth", ".pt", ".pth.tar", ".ckpt", ".bin")
"""Endings of files that torch.save writes, whichever program calls it."""

_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 5  # that stand before the numbers in a file of torch.save from before its zip archives
_TENSORS_ONLY = re.compile(
    r"collections (OrderedDict|Counter)|torch (Size|device|b?float\d+|u?int\d+|bool)|"
    r"torch(\.cuda)? \w+(Storage|Tensor)|torch\.nn\.parameter Parameter|"
    r"torch\._utils _rebuild_(tensor(_v2)?|parameter(_with_state)?)"
)
_NAMING = {"GLOBAL", "STACK_GLOBAL", "INST"}  # the instructions of a pickle that name what is called
_MOST_NESTED = 4  # dictionaries within each other that are looked into; a training's checkpoint has two or three


@dataclasses.dataclass(frozen=True)
class Description:
    """Description of a checkpoint in the file itself: JSON under one key of a safetensors file's metadata.

    Attributes:
        backbone: name of the network.
        class_names: one per output.
        input_size: side of the square input, in pixels.
        mean: per channel, of images in 0-1.
        std: per channel, of images in 0-1.
        trained: how, freely, in JSON types.
        method: how videos are scored, if the file holds more than a CNN, see `attn.models.model_file`.
    """

    backbone: str
    class_names: tuple[str, ...]
    input_size: int
    mean: Rgb
    std: Rgb
    trained: Mapping[str, Any]
    method: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        values = dataclasses.asdict(self)
        if self.method is None:
            del values["method"]
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Raises ValueError, KeyError or TypeError for a text that describes no checkpoint."""
        values = json.loads(text)
        (r, g, b), (sr, sg, sb) = values["mean"], values["std"]
        names, trained = tuple(map(str, values["class_names"])), dict(values["trained"])
        method = None if values.get("method") is None else dict(values["method"])
        size = int(values["input_size"])
        return cls(str(values["backbone"]), names, size, (r, g, b), (sr, sg, sb), trained, method)


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """Tensors under the names the file gives them.

    A tensor of a `.pth` may be one number spread over any shape, and weigh nothing until it is looked at: compare its
    shape first.

    Attributes:
        url: URL of the file.
        tensors: of the CNN.
        sha256: of the file; of a model file that of the CNN's own checkpoint, so that both make equal stores.
        described: None if another program wrote it.
        method_tensors: of the method of a model file, without their prefix.
    """

    url: str
    tensors: dict[str, Tensor]
    sha256: str
    described: Description | None = None
    method_tensors: dict[str, Tensor] = dataclasses.field(default_factory=dict)


def read_weights_file(url: str) -> WeightsFile:
    """A `.safetensors` file, or one of torch.save, of which nothing but tensors and plain values is unpickled.

    A state dict within a training's checkpoint is found: names of nested dictionaries are joined with dots. The file
    passes through memory once more than its tensors need.

    Args:
        url: local or s3://.

    Raises:
        UsageError: not there, or not such a file.
    """
    if not url.endswith((".safetensors", *TORCH_SAVE)):
        raise UsageError(f"{url}: give weights as .safetensors, {', '.join(TORCH_SAVE[:-1])} or {TORCH_SAVE[-1]}")
    fs, path = open_filesystem(url)
    with storage_errors(url):
        data = read_bytes(fs, path)
    tensors, text = parse_tensors(url, data) if url.endswith(".safetensors") else (_state_dict(url, data), None)
    sha256, described = hashlib.sha256(data).hexdigest(), _description(url, text)
    if described is None or described.method is None:
        return WeightsFile(url, tensors, sha256, described)
    own = {name: one for name, one in tensors.items() if not name.startswith(METHOD_PREFIX)}
    others = {name.removeprefix(METHOD_PREFIX): tensors[name] for name in tensors.keys() - own.keys()}
    return WeightsFile(url, own, str(described.method.get("cnn_sha256")), described, others)


def describe_checkpoint(url: str) -> Description:
    """Description of a checkpoint of this program.

    Raises:
        UsageError: as `read_weights_file`; the file does not say what network it is.
    """
    return description_of(read_weights_file(url))


def description_of(file: WeightsFile) -> Description:
    """Description of a checkpoint that was read; refuses bare weights likewise."""
    if file.described is None:
        raise UsageError(
            f"{file.url} is no checkpoint: it does not say what network it is; give --backbone and --classes"
        )
    return file.described


def write_weights_file(url: str, tensors: Mapping[str, Tensor], description: Description) -> str:
    """Writes a checkpoint that appears whole or not at all; equal weights make equal bytes. Returns its sha256."""
    return write_tensors(url, tensors, description.to_json())


def _state_dict(url: str, data: bytes) -> dict[str, Tensor]:
    try:
        _check_archive(url, data)
        with warnings.catch_warnings(action="ignore"):  # of TorchScript archives, which are refused right after
            weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except pickle.UnpicklingError as error:
        raise UsageError(f"{url} holds more than tensors; save model.state_dict() alone") from error
    except Exception as error:  # a damaged pickle fails in any way: RuntimeError, IndexError, AssertionError, …
        raise UsageError(f"{url} is no file of torch.save, or not all of one") from error
    tensors = dict(_named(weights))
    if not tensors:
        raise UsageError(f"{url} holds a {type(weights).__name__} and no state dict; save model.state_dict()")
    _check_storages(url, tensors.values(), len(data))
    return tensors


def _named(weights: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested dictionaries, under names joined with dots; each dictionary is looked into once.

    All else that a checkpoint holds, such as numbers of an optimiser, does not matter.
    """
    seen: set[int] = set()
    level: list[tuple[str, Any]] = [("", weights)]
    for _ in range(_MOST_NESTED):
        holders = {id(each): (prefix, each) for prefix, each in level if isinstance(each, Mapping)}
        below = [
            (f"{prefix}{key}", value)
            for known, (prefix, each) in holders.items()
            if known not in seen
            for key, value in each.items()
            if isinstance(key, str | int)
        ]
        yield from ((name, value) for name, value in below if isinstance(value, Tensor))
        level = [(f"{name}.", value) for name, value in below]
        seen |= holders.keys()


def _check_archive(url: str, data: bytes) -> None:
    """Refuses what takes memory while it is read: `weights_only` keeps a file from our programs, not from our memory.

    It calls `bytearray(10**11)`, makes storages of any size, and unpacks archives, which torch.save never packs.

    Raises:
        UsageError: more is called than makes tensors, or more comes out of the file than its size.
        Exception: of many kinds, where it is no file of torch.save.
    """
    if data.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(data):
                raise UsageError(f"{url} is packed; give it as torch.save wrote it")
            pickles = [archive.read(member) for member in archive.infolist() if member.filename.endswith(".pkl")]
        called = (name for each in pickles for name in _called(io.BytesIO(each)))
    else:
        stream = io.BytesIO(data)
        called = (name for _ in range(_OLD_PICKLES) for name in _called(stream))
    foreign = next((name for name in called if not _TENSORS_ONLY.fullmatch(name)), None)
    if foreign is not None:
        raise UsageError(f"{url} holds more than tensors ({foreign}); save model.state_dict() alone")


def _called(stream: io.BytesIO) -> Iterator[str]:
    """Object that the next pickle of a stream names, as `module name`."""
    return (str(argument) for code, argument, _ in pickletools.genops(stream) if code.name in _NAMING)


def _check_storages(url: str, tensors: Iterable[Tensor], file_bytes: int) -> None:
    """A file that claims more numbers than it holds gets memory as it was for them."""
    storages = {storage.data_ptr(): storage.nbytes() for storage in (each.untyped_storage() for each in tensors)}
    if sum(storages.values()) > file_bytes:
        raise UsageError(f"{url}: claims more numbers than the file holds; give other weights")


def _description(url: str, text: str | None) -> Description | None:
    if text is None:
        return None
    try:
        return Description.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{url}: its metadata are not those of a checkpoint ({error!r})") from error
