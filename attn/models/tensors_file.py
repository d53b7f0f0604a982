"""Tensors with a text as one `.safetensors` file, the format of all trained weights of this project.

The metadata name the kind of model and the version of its format; files from before kinds existed have neither. The
file contains a checksum of itself, because a flipped bit in a weight gives another plausible number.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from attn.errors import UsageError
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location

METADATA_KEY, SUM_KEY = "attn", "attn_sha256"
KIND_KEY, VERSION_KEY, SINCE_KEY = "kind", "format_version", "known_since"
NO_SUM = "0" * 64
"""Placeholder for the checksum while the checksum is computed."""
ALIGNMENT = 8  # of the tensors after the header, in bytes


@dataclasses.dataclass(frozen=True)
class Kind:
    """Kind of model and version of its file format, as written into the metadata of its files.

    Attributes:
        name: name of the kind, such as `cnn`.
        version: version of the format, from 1. A version that older programs would misread gets the next number.
        since: version of this program that reads such files first, for the messages of older ones.
    """

    name: str
    version: int
    since: str


@dataclasses.dataclass(frozen=True)
class TensorsFile:
    """Content of a file.

    Attributes:
        url: URL of the file.
        tensors: tensors by name.
        text: description of the tensors, in JSON; None if another program wrote the file.
        kind: kind of model; None if another program wrote the file, or this one before kinds existed.
        sha256: SHA-256 of the file.
    """

    url: str
    tensors: dict[str, Tensor]
    text: str | None
    kind: Kind | None
    sha256: str


def write_tensors(url: str, tensors: Mapping[str, Tensor], text: str, kind: Kind) -> str:
    """Write a file atomically; equal tensors and texts give equal bytes. Returns its SHA-256.

    Args:
        url: URL of the file, local or s3://.
        tensors: tensors by name, on any device.
        text: description of the tensors, in JSON.
        kind: kind of model.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = _summed(safetensors.torch.save(plain), text, kind)
    Location.at(url).write_atomic(data)
    return hashlib.sha256(data).hexdigest()


def _summed(data: bytes, text: str, kind: Kind) -> bytes:
    """Add metadata and checksum to a file; safetensors would write several metadata keys in random order."""
    header = _header(data)
    tensors = memoryview(data)[8 + len(header) :]
    of_kind = {KIND_KEY: kind.name, VERSION_KEY: str(kind.version), SINCE_KEY: kind.since}
    metadata = {METADATA_KEY: text, **of_kind, SUM_KEY: NO_SUM}
    written = json.dumps({"__metadata__": metadata, **json.loads(header)}, ensure_ascii=False).encode()
    written += b" " * (-len(written) % ALIGNMENT)
    blank = len(written).to_bytes(8, "little") + written
    return b"".join((_with_sum(blank, NO_SUM, _sum(blank, tensors)), tensors))


def _header(data: bytes) -> bytes:
    """JSON header of a file, without its length field."""
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def _sum(start: bytes, tensors: memoryview) -> str:
    digest = hashlib.sha256(start)
    digest.update(tensors)
    return digest.hexdigest()


def _with_sum(start: bytes, old: str, new: str) -> bytes:
    """Start of a file with the checksum replaced in place."""
    head, key, tail = start.partition(json.dumps(SUM_KEY).encode())
    return head + key + tail.replace(old.encode(), new.encode(), 1)


def read_tensors(url: str) -> TensorsFile:
    """Read a file, local or s3://.

    Raises:
        UsageError: the file does not exist, or as `parse_tensors`.
    """
    with storage_errors(url):
        data = Location.at(url).read_bytes()
    return parse_tensors(url, data)


def parse_tensors(url: str, data: bytes) -> TensorsFile:
    """Parse the bytes of a file.

    Raises:
        UsageError: the data are not a safetensors file, are incomplete or do not match the checksum.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{url}: not a safetensors file, or incomplete ({error}). Give other weights.") from error
    header = _header(data)
    metadata = json.loads(header).get("__metadata__") or {}
    if SUM_KEY in metadata:
        _check_sum(url, data, 8 + len(header), metadata[SUM_KEY])
    text = metadata.get(METADATA_KEY)
    kind = None if text is None else _kind(url, metadata)
    return TensorsFile(url, tensors, text, kind, hashlib.sha256(data).hexdigest())


def _kind(url: str, metadata: Mapping[str, str]) -> Kind | None:
    if KIND_KEY not in metadata:
        return None
    version = metadata.get(VERSION_KEY, "")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", version):
        raise UsageError(f"{url}: invalid format version {version!r} in the metadata. Give another file.")
    return Kind(metadata[KIND_KEY], int(version), metadata.get(SINCE_KEY, "unknown"))


def check_kind(file: TensorsFile, kind: Kind) -> None:
    """Check that a file is of a kind, in a version of the format that this program reads. Files without a kind pass.

    Raises:
        UsageError: the file is of another kind, or from a newer program.
    """
    found = file.kind or kind
    if found.name != kind.name:
        raise UsageError(f"{file.url}: a model of kind {found.name}, not {kind.name}. Give another file.")
    if found.version > kind.version:
        raise UsageError(
            f"{file.url}: a model of kind {found.name} in format {found.version}, which attn reads since version "
            f"{found.since}. This version reads formats up to {kind.version}: use a newer one."
        )


def _check_sum(url: str, data: bytes, start_bytes: int, recorded: str) -> None:
    blank = _with_sum(data[:start_bytes], recorded, NO_SUM)
    if _sum(blank, memoryview(data)[start_bytes:]) != recorded:
        raise UsageError(f"{url}: the file is damaged (checksum mismatch). Copy it again, or train again.")


def check_finite(url: str, tensors: Mapping[str, Tensor]) -> None:
    """Check that all weights are finite.

    Raises:
        UsageError: a weight is NaN or infinite.
    """
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(f"{url}: {key} contains NaN or infinity. Give other weights.")
