"""Reading and writing of weights files, which are checked before a network is built and never execute code.

A checkpoint of this program is a `.safetensors` file with the tensor names of torchvision or timm, so any program with
these can load it. Its metadata describe the network. Weights without these metadata are read as well.
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
from attn.models.flow_input import FlowInput
from attn.models.network_input import Rgb
from attn.models.tensors_file import Kind, TensorsFile, check_kind, read_tensors, write_tensors
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.video.transform import BILINEAR, Resampling

CNN = Kind("cnn", 1, "0.1.0")

METHOD_PREFIX = "method."
"""Prefix of tensors that belong to the scoring method, not to the CNN."""

TORCH_SAVE = (".pth", ".pt", ".pth.tar", ".ckpt", ".bin")
"""Suffixes of files written by torch.save."""

MOST_STACKED = 100
"""Maximum number of flows in a stack; a file can claim any number."""

_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 5  # number of pickles before the storages in torch.save's legacy (not zip) format
_TENSORS_ONLY = re.compile(
    r"collections (OrderedDict|Counter)|torch (Size|device|b?float\d+|u?int\d+|bool)|"
    r"torch(\.cuda)? \w+(Storage|Tensor)|torch\.nn\.parameter Parameter|"
    r"torch\._utils _rebuild_(tensor(_v2)?|parameter(_with_state)?)"
)
_NAMING = {"GLOBAL", "STACK_GLOBAL", "INST"}  # pickle opcodes that name a callable
_MOST_NESTED = 4  # maximum depth of nested dictionaries that are searched; training checkpoints have two or three


@dataclasses.dataclass(frozen=True)
class Description:
    """Description of a checkpoint, stored as JSON under one metadata key of the safetensors file.

    Attributes:
        backbone: name of the network.
        class_names: one name per output.
        input_size: side of the square input, in pixels.
        mean: mean of each channel, for images in 0-1.
        std: standard deviation of each channel, for images in 0-1.
        trained: free-form record of the training, in JSON types.
        method: record of the scoring method in a model file, see `attn.models.model_file`; otherwise None.
        resampling: part of an image that the network sees, and the interpolation.
        flow: stacks of optical flow that the network takes; None if it takes images.
    """

    backbone: str
    class_names: tuple[str, ...]
    input_size: int
    mean: Rgb
    std: Rgb
    trained: Mapping[str, Any]
    method: Mapping[str, Any] | None = None
    resampling: Resampling = BILINEAR
    flow: FlowInput | None = None

    def to_json(self) -> str:
        values = dataclasses.asdict(self)
        for name in ("method", "flow"):
            if values[name] is None:
                del values[name]
        del values["resampling"]
        if self.resampling != BILINEAR:
            values["resampling"] = str(self.resampling)
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Parse a description; raises ValueError, KeyError or TypeError if the text is not one."""
        values = json.loads(text)
        (r, g, b), (sr, sg, sb) = values["mean"], values["std"]
        names, trained = tuple(map(str, values["class_names"])), dict(values["trained"])
        method = None if values.get("method") is None else dict(values["method"])
        size, text = int(values["input_size"]), str(values.get("resampling", BILINEAR))
        resampling = Resampling.parse(text)
        if str(resampling) != text:
            raise ValueError(f"unknown resampling: {text}")
        flow = values.get("flow")
        known = None if flow is None else FlowInput(int(flow["length"]), dict(flow["kind"]))
        if known is not None and not 1 <= known.length <= MOST_STACKED:
            raise ValueError(f"stacks of {known.length} flows")
        return cls(str(values["backbone"]), names, size, (r, g, b), (sr, sg, sb), trained, method, resampling, known)


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """Tensors under their names in the file.

    A tensor of a `.pth` file can be a single number expanded to any shape, which takes memory only when it is used.
    Compare shapes before using a tensor.

    Attributes:
        url: URL of the file.
        tensors: tensors of the CNN.
        sha256: SHA-256 of the file. For a model file: SHA-256 of the CNN's own checkpoint, so that both produce equal
            stores.
        described: description of the network; None if another program wrote the file.
        method_tensors: tensors of a model file's method, without their prefix.
    """

    url: str
    tensors: dict[str, Tensor]
    sha256: str
    described: Description | None = None
    method_tensors: dict[str, Tensor] = dataclasses.field(default_factory=dict)


def read_weights_file(url: str) -> WeightsFile:
    """Read a `.safetensors` file or a torch.save file; only tensors and plain values are unpickled.

    State dicts nested in training checkpoints are found, too: keys of nested dictionaries are joined with dots. The
    whole file is held in memory in addition to its tensors.

    Args:
        url: URL of the file, local or s3://.

    Raises:
        UsageError: the file does not exist or is not a weights file.
    """
    if not url.endswith((".safetensors", *TORCH_SAVE)):
        suffixes = f".safetensors, {', '.join(TORCH_SAVE[:-1])} or {TORCH_SAVE[-1]}"
        raise UsageError(f"{url or 'the weights'}: not a weights file by its suffix. Give weights as {suffixes}.")
    if url.endswith(".safetensors"):
        return weights_of(read_tensors(url))
    with storage_errors(url):
        data = Location.at(url).read_bytes()
    return WeightsFile(url, _state_dict(url, data), hashlib.sha256(data).hexdigest())


def weights_of(file: TensorsFile) -> WeightsFile:
    """Weights of a CNN in a `.safetensors` file that has been read.

    Raises:
        UsageError: the file is of another kind, or its description is invalid.
    """
    check_kind(file, CNN)
    described, tensors = _description(file.url, file.text), file.tensors
    if described is None or described.method is None:
        return WeightsFile(file.url, tensors, file.sha256, described)
    own = {name: one for name, one in tensors.items() if not name.startswith(METHOD_PREFIX)}
    others = {name.removeprefix(METHOD_PREFIX): tensors[name] for name in tensors.keys() - own.keys()}
    return WeightsFile(file.url, own, str(described.method.get("cnn_sha256")), described, others)


def describe_checkpoint(url: str) -> Description:
    """Description of a checkpoint of this program.

    Raises:
        UsageError: as in `read_weights_file`; or the file has no description.
    """
    return description_of(read_weights_file(url))


def description_of(file: WeightsFile) -> Description:
    """Description of a checkpoint that has been read; raises UsageError if the file has none."""
    if file.described is None:
        raise UsageError(
            f"{file.url}: not a checkpoint, the file does not name its network. Give --backbone and --classes."
        )
    return file.described


def write_weights_file(url: str, tensors: Mapping[str, Tensor], description: Description) -> str:
    """Write a checkpoint atomically; equal weights give equal bytes. Returns its SHA-256."""
    return write_tensors(url, tensors, description.to_json(), CNN)


def _state_dict(url: str, data: bytes) -> dict[str, Tensor]:
    try:
        _check_archive(url, data)
        with warnings.catch_warnings(action="ignore"):  # about TorchScript archives, which are rejected below
            weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except pickle.UnpicklingError as error:
        raise UsageError(f"{url}: contains more than tensors. Save only model.state_dict().") from error
    except Exception as error:  # damaged pickles raise many types: RuntimeError, IndexError, AssertionError, …
        raise UsageError(f"{url}: not a torch.save file, or incomplete. Give other weights.") from error
    tensors = dict(_named(weights))
    if not tensors:
        raise UsageError(
            f"{url}: contains a {type(weights).__name__} instead of a state dict. Save model.state_dict()."
        )
    _check_storages(url, tensors.values(), len(data))
    return tensors


def _named(weights: Any) -> Iterator[tuple[str, Tensor]]:
    """Tensors in nested dictionaries, with keys joined by dots; each dictionary is visited once.

    Other values of a checkpoint, such as settings of an optimiser, are ignored.
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
    """Reject files that would exhaust the memory: `weights_only` prevents code execution, but not allocation.

    With `weights_only`, torch.load still calls `bytearray(10**11)`, creates storages of any size and decompresses
    archives, although torch.save never compresses.

    Raises:
        UsageError: the pickle calls more than constructors of tensors, or the file is larger when decompressed.
        Exception: (of any type) the file was not written by torch.save.
    """
    if data.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(data):
                raise UsageError(f"{url}: the archive is compressed. Give the file as torch.save wrote it.")
            pickles = [archive.read(member) for member in archive.infolist() if member.filename.endswith(".pkl")]
        called = (name for each in pickles for name in _called(io.BytesIO(each)))
    else:
        stream = io.BytesIO(data)
        called = (name for _ in range(_OLD_PICKLES) for name in _called(stream))
    foreign = next((name for name in called if not _TENSORS_ONLY.fullmatch(name)), None)
    if foreign is not None:
        raise UsageError(f"{url}: contains more than tensors ({foreign}). Save only model.state_dict().")


def _called(stream: io.BytesIO) -> Iterator[str]:
    """Names of the objects that the next pickle of a stream refers to, as `module name`."""
    return (str(argument) for code, argument, _ in pickletools.genops(stream) if code.name in _NAMING)


def _check_storages(url: str, tensors: Iterable[Tensor], file_bytes: int) -> None:
    """Reject files that claim more numbers than they contain, because the rest would be uninitialised memory."""
    storages = {storage.data_ptr(): storage.nbytes() for storage in (each.untyped_storage() for each in tensors)}
    if sum(storages.values()) > file_bytes:
        raise UsageError(f"{url}: claims more numbers than the file contains. Give other weights.")


def _description(url: str, text: str | None) -> Description | None:
    if text is None:
        return None
    try:
        return Description.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{url}: invalid metadata for a checkpoint ({error!r}). Give other weights.") from error
