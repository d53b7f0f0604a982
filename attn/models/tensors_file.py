"""Tensors with one text beside them, as one `.safetensors` file: the form of everything that is learnt here.

The file holds a sum of itself: a bit that a disk flips in a weight makes another good-looking number.
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
"""Stands for the sum where it is computed: of the file but for itself."""
ALIGNMENT = 8  # of the tensors behind the header, in bytes


def write_tensors(url: str, tensors: Mapping[str, Tensor], text: str) -> str:
    """Writes a file that appears whole or not at all; equal tensors make equal bytes. Returns its sha256.

    Args:
        url: local or s3://.
        tensors: on any device.
        text: what they are, in JSON.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = _summed(safetensors.torch.save(plain), text)
    write_atomic(*open_filesystem(url), data)
    return hashlib.sha256(data).hexdigest()


def _summed(data: bytes, text: str) -> bytes:
    """The file with metadata; safetensors itself would write several of them in random order."""
    header = _header(data)
    tensors = memoryview(data)[8 + len(header) :]
    metadata = {METADATA_KEY: text, SUM_KEY: NO_SUM}
    written = json.dumps({"__metadata__": metadata, **json.loads(header)}, ensure_ascii=False).encode()
    written += b" " * (-len(written) % ALIGNMENT)
    blank = len(written).to_bytes(8, "little") + written
    return b"".join((_with_sum(blank, NO_SUM, _sum(blank, tensors)), tensors))


def _header(data: bytes) -> bytes:
    """What stands before the tensors, but for its length."""
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def _sum(start: bytes, tensors: memoryview) -> str:
    digest = hashlib.sha256(start)
    digest.update(tensors)
    return digest.hexdigest()


def _with_sum(start: bytes, old: str, new: str) -> bytes:
    """The start of a file with another sum in the same place."""
    head, key, tail = start.partition(json.dumps(SUM_KEY).encode())
    return head + key + tail.replace(old.encode(), new.encode(), 1)


def parse_tensors(url: str, data: bytes) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a file and the text beside them, None where another program wrote it.

    Raises:
        UsageError: no such file, or not all of one, or not what was written.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{url} is no safetensors file, or not all of one ({error})") from error
    header = _header(data)
    metadata = json.loads(header).get("__metadata__") or {}
    if SUM_KEY in metadata:
        _check_sum(url, data, 8 + len(header), metadata[SUM_KEY])
    return tensors, metadata.get(METADATA_KEY)


def _check_sum(url: str, data: bytes, start_bytes: int, said: str) -> None:
    blank = _with_sum(data[:start_bytes], said, NO_SUM)
    if _sum(blank, memoryview(data)[start_bytes:]) != said:
        raise UsageError(f"{url} is damaged: it is not what was written; copy it again, or train again")


def check_finite(url: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuses damaged weights.

    Raises:
        UsageError: one of them is NaN or infinite.
    """
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(f"{url}: {key} holds NaN or infinity; these weights are damaged")
