"""Trained networks of this project's own kinds: tensors and a JSON description in one file of a folder.

The file states everything that is needed to score a store, including the store's fingerprint.
"""

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from attn.errors import UsageError
from attn.models.tensors_file import Kind, TensorsFile, check_finite, check_kind, write_tensors


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


def not_a(noun: str, url: str, error: Exception) -> UsageError:
    """Error for a file that is not a network of some kind, named with its article."""
    return UsageError(f"{url}: not {noun}, or incomplete ({error!r}). Train it again.")
