"""Tensors with a text as one `.safetensors` file, the format of all trained weights of this project.

The file contains a checksum of itself, because a flipped bit in a weight gives another plausible number.
"""

import hashlib
import json
from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, write_atomic

METADATA_KEY, SUM_KEY = "attn", "attn_sha256"
NO_SUM = "0" * 64
"""Placeholder for the checksum while the checksum is computed."""
ALIGNMENT = 8  # of the tensors after the header, in bytes


def write_tensors(url: str, tensors: Mapping[str, Tensor], text: str) -> str:
    """Write a file atomically; equal tensors and texts give equal bytes. Returns its SHA-256.

    Args:
        url: URL of the file, local or s3://.
        tensors: tensors by name, on any device.
        text: description of the tensors, in JSON.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = _summed(safetensors.torch.save(plain), text)
    write_atomic(*open_filesystem(url), data)
    return hashlib.sha256(data).hexdigest()


def _summed(data: bytes, text: str) -> bytes:
    """Add metadata and checksum to a file; safetensors would write several metadata keys in random order."""
    header = _header(data)
    tensors = memoryview(data)[8 + len(header) :]
    metadata = {METADATA_KEY: text, SUM_KEY: NO_SUM}
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


def parse_tensors(url: str, data: bytes) -> tuple[dict[str, Tensor], str | None]:
    """Parse a file into its tensors and its text; the text is None if another program wrote the file.

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
    return tensors, metadata.get(METADATA_KEY)


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
