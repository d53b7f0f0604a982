"""Access to all storages: fsspec filesystems and paths from URLs, and one-line messages from errors.

Local paths and `file://` are plain files; `s3://` goes through s3fs, which honours AWS_ENDPOINT_URL and
AWS_ENDPOINT_URL_S3; other schemes of fsspec work too. Listings are never cached: another process may be writing, and a
second listing costs less than a stale one.
"""

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
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from attn.errors import UsageError
from attn.storage.error_messages import holds_credentials, reason, shown, way_out
from attn.storage.retry import retried
from attn.storage.stale_files import locked_folder, remove_orphans

# The parts in flight, and a few copies of each, bound the memory of one upload. S3 allows 10,000 parts.
UPLOAD_PART_BYTES = 8 << 20
UPLOAD_PARTS_AT_ONCE = 2
MOST_UPLOAD_PARTS = 10_000
UPLOAD_PREFIX = "attn-upload-"


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the filesystem of a URL and the path on it. A local path becomes absolute; it need not exist.

    Raises:
        UsageError: the URL is empty, has an unknown scheme or contains credentials, or is an `s3://` URL without a
            bucket.
    """
    if not url:
        raise UsageError("a path is empty. Give a local path or a URL such as s3://bucket/folder.")
    if holds_credentials(url):
        raise UsageError(
            f"{shown(url)}: a URL must not contain credentials, because it is written to logs and records. Write "
            "s3://bucket/folder, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
        )
    if "://" not in url or url.startswith("file://"):
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(url.removeprefix("file://")))
    try:
        fs, path = url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{shown(url)}: {error}. Give a local path or a URL such as s3://bucket/folder.") from error
    if url.startswith(("s3://", "s3a://")) and not path.strip("/"):
        raise UsageError(f"{url}: the bucket is missing. Write s3://bucket/folder.")
    return fs, path


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
    return f" ({path})" if isinstance(path, str) and os.path.isabs(path) and path != url else ""


def is_local(fs: AbstractFileSystem) -> bool:
    """Whether paths of the filesystem can be opened as they are."""
    return isinstance(fs, LocalFileSystem)


def url_of(fs: AbstractFileSystem, path: str) -> str:
    """URL of a path, as `open_filesystem` takes it; a local path is its own URL."""
    return path if is_local(fs) else fs.unstrip_protocol(path)


def absolute(url: str) -> str:
    """Absolute form of a URL, valid in any working directory: Ray Train workers have their own."""
    return url_of(*open_filesystem(url))


def join(url: str, *parts: str) -> str:
    """URL of a file or folder inside a folder."""
    return posixpath.join(url, *parts)


def read_bytes(fs: AbstractFileSystem, path: str, start: int = 0, stop: int | None = None) -> bytes:
    """Bytes `start` to `stop` of a file, or to its end; fewer if the file ends earlier.

    Raises:
        OSError: the read failed. Storage clients raise other errors too, so wrap the call in `storage_errors`.
    """
    if is_local(fs):
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)
    data = fs.cat_file(path, start=start or None, end=stop)
    return data if isinstance(data, bytes) else data.encode()


def read_text(fs: AbstractFileSystem, path: str) -> str:
    """Text of a small UTF-8 file, without a byte order mark.

    Raises:
        UsageError: the file is missing, unreadable or not UTF-8.
    """
    url = url_of(fs, path)
    with storage_errors(url):
        data = read_bytes(fs, path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown(url)}: not UTF-8 text (byte {error.start}). Save the file as UTF-8.") from error


def write_atomic(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a file so that it appears complete or not at all; missing parent folders are created.

    Local: written under a hidden name in the same folder, then renamed, both fsynced. S3: one complete upload,
    restarted a few times if the storage refuses it.
    """
    if is_local(fs):
        with atomic_path(fs, path) as hidden:
            hidden.write_bytes(data)
        return
    with storage_errors(url_of(fs, path)):
        retried(lambda: fs.pipe_file(path, data), url_of(fs, path))


@contextlib.contextmanager
def atomic_path(fs: AbstractFileSystem, path: str) -> Iterator[Path]:
    """Yield a local file to write; its content appears under `path` only if the block succeeds.

    If the block creates no file, none appears. A process killed inside leaves the hidden file `.<name>.<8 hex
    digits>.tmp`, which listings skip. For a remote path, the file is built in the temporary folder, which must have
    space for it; the next upload removes files that killed processes left there. On S3, a killed upload leaves bytes
    that no listing shows: see `attn.storage.uploads`.
    """
    with storage_errors(url_of(fs, path)):
        if is_local(fs):
            with _renamed_to(Path(path)) as hidden:
                yield hidden
            return
        remove_orphans(Path(tempfile.gettempdir()).glob(f"{UPLOAD_PREFIX}*"))
        with tempfile.TemporaryDirectory(prefix=UPLOAD_PREFIX) as folder, locked_folder(Path(folder)):
            scratch = Path(folder) / posixpath.basename(path)
            yield scratch
            if scratch.exists():
                retried(lambda: _upload(fs, scratch, path), url_of(fs, path))


def left_by(name: str) -> str | None:
    """Name of the file that a killed process was writing when it left `name` behind; None for other names."""
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.tmp", name)
    return match and match[1]


@contextlib.contextmanager
def _renamed_to(path: Path) -> Iterator[Path]:
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


def _upload(fs: AbstractFileSystem, source: Path, path: str) -> None:
    limits: dict[str, Any] = {}
    if "s3" in fs.protocol:
        part_bytes = max(UPLOAD_PART_BYTES, -(-source.stat().st_size // MOST_UPLOAD_PARTS))
        limits = {"chunksize": part_bytes, "max_concurrency": UPLOAD_PARTS_AT_ONCE}
    fs.put_file(str(source), path, **limits)
