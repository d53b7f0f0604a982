"""Tensors with one text beside them, as one `.safetensors` file: the form of everything that is learnt here."""

import hashlib
import json
from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, write_atomic

METADATA_KEY = "attn"  # one key: safetensors writes several in random order, and equal files should be equal


def write_tensors(url: str, tensors: Mapping[str, Tensor], text: str) -> str:
    """Writes a file that appears whole or not at all; equal tensors make equal bytes. Returns its sha256.

    Args:
        url: local or s3://.
        tensors: on any device.
        text: what they are, in JSON.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = safetensors.torch.save(plain, metadata={METADATA_KEY: text})
    write_atomic(*open_filesystem(url), data)
    return hashlib.sha256(data).hexdigest()


def parse_tensors(url: str, data: bytes) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a file and the text beside them, None where another program wrote it.

    Raises:
        UsageError: no such file, or not all of one.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{url} is no safetensors file, or not all of one ({error})") from error
    header_bytes = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_bytes]).get("__metadata__") or {}
    return tensors, metadata.get(METADATA_KEY)


def check_finite(url: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuses damaged weights.

    Raises:
        UsageError: one of them is NaN or infinite.
    """
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(f"{url}: {key} holds NaN or infinity; these weights are damaged")
