"""One-line messages from errors of storages, and files that appear complete or not at all."""

import contextlib
import os
import posixpath
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.error_messages import reason, shown, way_out
from attn.storage.retry import retried
from attn.storage.stale_files import locked_folder, remove_orphans

# The parts in flight, and a few copies of each, bound the memory of one upload. S3 allows 10,000 parts.
UPLOAD_PART_BYTES = 8 << 20
UPLOAD_PARTS_AT_ONCE = 2
MOST_UPLOAD_PARTS = 10_000
UPLOAD_PREFIX = "attn-upload-"


@contextlib.contextmanager
def storage_errors(url: str, raised: type[Exception] = UsageError) -> Iterator[None]:
    """Turn storage errors inside the block into one line with the URL and the reason, without credentials.

    A `UsageError` also says what to do.

    Args:
        url: URL that is read or written, for the message.
        raised: type of the error to raise, if the user cannot fix the cause.
    """
    try:
        yield
    except Exception as error:
        why = reason(error)
        if why is None:
            raise
        advice = way_out(why) if issubclass(raised, UsageError) else ""
        raise raised(f"{shown(url)}: {why}{_culprit(error, url)}{advice and f'. {advice}'}") from error


def _culprit(error: Exception, url: str) -> str:
    """Local file or folder that the error is about, if it is not the URL itself."""
    path = getattr(error, "filename", None)
    named = isinstance(path, str) and os.path.isabs(path) and path != os.path.abspath(url)
    return f" ({path})" if named else ""


def join(url: str, *parts: str) -> str:
    """URL of a file or folder inside a folder."""
    return posixpath.join(url, *parts)


def left_by(name: str) -> str | None:
    """Name of the file that a killed process was writing when it left `name` behind; None for other names."""
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.tmp", name)
    return match and match[1]


@contextlib.contextmanager
def renamed_to(path: Path) -> Iterator[Path]:
    """Yield a hidden file in the same folder, which is renamed if the block succeeds and removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield hidden
        if hidden.exists():
            _make_durable(hidden)
            hidden.replace(path)
            _make_durable(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def uploaded_to(fs: AbstractFileSystem, path: str, url: str) -> Iterator[Path]:
    """Yield a file in a temporary folder, which is uploaded if the block succeeds."""
    remove_orphans(Path(tempfile.gettempdir()).glob(f"{UPLOAD_PREFIX}*"))
    with tempfile.TemporaryDirectory(prefix=UPLOAD_PREFIX) as folder, locked_folder(Path(folder)):
        scratch = Path(folder) / posixpath.basename(path)
        yield scratch
        if scratch.exists():
            retried(lambda: _upload(fs, scratch, path), url)


def _upload(fs: AbstractFileSystem, source: Path, path: str) -> None:
    limits: dict[str, Any] = {}
    if "s3" in fs.protocol:
        part_bytes = max(UPLOAD_PART_BYTES, -(-source.stat().st_size // MOST_UPLOAD_PARTS))
        limits = {"chunksize": part_bytes, "max_concurrency": UPLOAD_PARTS_AT_ONCE}
    fs.put_file(str(source), path, **limits)
