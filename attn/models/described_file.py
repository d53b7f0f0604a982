"""Trained networks of this project's own kinds: tensors and a JSON description in one file of a folder.

The file states everything that is needed to score a store, including the store's fingerprint.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.tensors_file import Kind, TensorsFile, check_finite, check_kind, write_tensors

Net = TypeVar("Net", bound=nn.Module)


def write_described(url: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any], kind: Kind) -> str:
    """Write a file, local or s3://, atomically. Returns its SHA-256."""
    return write_tensors(url, tensors, json.dumps(description, ensure_ascii=False), kind)


def description_of(file: TensorsFile, kind: Kind, noun: str) -> dict[str, Any]:
    """Return the description of a file, whose tensors must be finite.

    Args:
        file: file that has been read.
        kind: expected kind.
        noun: name of the kind with its article, for messages.

    Raises:
        UsageError: the file is of another kind or damaged.
    """
    check_kind(file, kind)
    check_finite(file.url, file.tensors)
    try:
        return dict(json.loads(file.text or "{}"))
    except (ValueError, TypeError) as error:
        raise not_a(noun, file.url, error) from error


def assembled(make: Callable[[], Net], tensors: Mapping[str, Tensor], *, kinds: Collection[torch.dtype]) -> Net:
    """Network in evaluation mode with the tensors of a file, which cannot be trained.

    It takes no memory of its own, because a small file can claim any size.

    Args:
        make: function that makes the network.
        tensors: its weights.
        kinds: types that the weights may have.

    Raises:
        ValueError, RuntimeError: the tensors are not those of the network.
    """
    if odd := {tensor.dtype for tensor in tensors.values()} - {*kinds}:
        raise ValueError(f"weights of {odd}")
    with torch.device("meta"):
        net = make()
    net.load_state_dict(tensors, assign=True)
    return net.eval().requires_grad_(False)


def not_a(noun: str, url: str, error: Exception) -> UsageError:
    """Error for a file that is not a network of some kind, named with its article."""
    return UsageError(f"{url}: not {noun}, or incomplete ({error!r}). Train it again.")
