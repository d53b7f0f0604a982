"""Trained networks of this project's own kinds: tensors and a JSON description in one file of a folder.

The file states everything that is needed to score a store, including the store's fingerprint.
"""

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from attn.errors import UsageError
from attn.models.tensors_file import check_finite, parse_tensors, write_tensors
from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors


def write_described(url: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    """Write a file, local or s3://, atomically. Returns its SHA-256."""
    return write_tensors(url, tensors, json.dumps(description, ensure_ascii=False))


def read_described(url: str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, all finite, and the description of a file.

    Args:
        url: URL of the file.
        kind: kind of network with its article, for messages.

    Raises:
        UsageError: the file is missing, damaged or of another kind.
    """
    with storage_errors(url):
        data = read_bytes(*open_filesystem(url))
    tensors, text = parse_tensors(url, data)
    check_finite(url, tensors)
    try:
        return tensors, dict(json.loads(text or "{}"))
    except (ValueError, TypeError) as error:
        raise not_a(kind, url, error) from error


def not_a(kind: str, url: str, error: Exception) -> UsageError:
    """Error for a file that is not a network of some kind, named with its article."""
    return UsageError(f"{url}: not {kind}, or incomplete ({error!r}). Train it again.")


def check_fingerprint(trained: str, folder: str, url: str, fingerprint: str, rows: str) -> None:
    """Check that a store contains rows of the kind that a network was trained on.

    Args:
        trained: fingerprint of the store used in training.
        folder: URL of the network's folder.
        url: URL of the store to score.
        fingerprint: fingerprint of that store.
        rows: name of the input, in the plural.

    Raises:
        UsageError: the rows are from another CNN, or computed with other settings.
    """
    if fingerprint != trained:
        raise UsageError(
            f"{folder}: was trained on {rows} with fingerprint {trained}, but {url} has {fingerprint}, so the CNN or "
            "the settings differ. Train on this store, or score a store with the former fingerprint."
        )
