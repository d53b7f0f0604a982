"""One way to every storage: a URL becomes an fsspec filesystem and a path on it, an error becomes one line.

Local paths and `file://` are plain files; `s3://` goes through s3fs, which honours AWS_ENDPOINT_URL and
AWS_ENDPOINT_URL_S3; whatever else fsspec knows works too. Listings are never cached: another process may be writing,
and a second listing costs less than a wrong one.
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
from attn.storage.attempts import try_again
from attn.storage.orphans import locked_folder, remove_orphans
from attn.storage.reasons import holds_credentials, reason, shown

# Parts under way bound the memory of one upload, a few copies of each included. S3 allows 10,000 parts.
UPLOAD_PART_BYTES = 8 << 20
UPLOAD_PARTS_AT_ONCE = 2
MOST_UPLOAD_PARTS = 10_000
UPLOAD_PREFIX = "attn-upload-"


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """Filesystem of a URL and the path on it; a local path comes back absolute. Nothing need exist there.

    Raises:
        UsageError: no URL, a scheme no one knows, an `s3://` without a bucket or with credentials.
    """
    if not url:
        raise UsageError("a path is empty; give a local path or a URL such as s3://bucket/folder")
    if holds_credentials(url):
        raise UsageError(
            f"{shown(url)}: no credentials in a URL, it is written to logs and records; write s3://bucket/folder, and "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if "://" not in url or url.startswith("file://"):
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(url.removeprefix("file://")))
    try:
        fs, path = url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{shown(url)}: {error}; give a local path or a URL such as s3://bucket/folder") from error
    if url.startswith(("s3://", "s3a://")) and not path.strip("/"):
        raise UsageError(f"{url} names no bucket; write s3://bucket/folder")
    return fs, path


@contextlib.contextmanager
def storage_errors(url: str, raised: type[Exception] = UsageError) -> Iterator[None]:
    """What goes wrong with a storage inside becomes one line that says what and where, without credentials.

    Args:
        url: what is read or written, for the message.
        raised: error to raise, if it is not the user's to mend.
    """
    try:
        yield
    except Exception as error:
        why = reason(error)
        if why is None:
            raise
        raise raised(f"{shown(url)}: {why}{_culprit(error, url)}") from error


def _culprit(error: Exception, url: str) -> str:
    """The local file or folder that the error is about, where the URL does not say so."""
    path = getattr(error, "filename", None)
    return f" ({path})" if isinstance(path, str) and os.path.isabs(path) and path != url else ""


def is_local(fs: AbstractFileSystem) -> bool:
    """Whether paths of the filesystem can be opened as they are."""
    return isinstance(fs, LocalFileSystem)


def url_of(fs: AbstractFileSystem, path: str) -> str:
    """URL of a path: what `open_filesystem` takes. A local path is its own."""
    return path if is_local(fs) else fs.unstrip_protocol(path)


def absolute(url: str) -> str:
    """The same place, whatever folder a process runs in: workers of Ray Train run in one of their own."""
    return url_of(*open_filesystem(url))


def join(url: str, *parts: str) -> str:
    """URL of something inside a folder."""
    return posixpath.join(url, *parts)


def read_bytes(fs: AbstractFileSystem, path: str, start: int = 0, stop: int | None = None) -> bytes:
    """Bytes `start` to `stop` of a file, or to its end; fewer where it ends before.

    Raises:
        OSError and what the storage's own client raises: wrap in `storage_errors`.
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
        UsageError: it is missing, unreadable or not UTF-8.
    """
    url = url_of(fs, path)
    with storage_errors(url):
        data = read_bytes(fs, path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown(url)} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def write_atomic(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Writes a file that appears whole or not at all; folders above it are made.

    Local: a hidden name in the same folder, then a rename, both made durable. S3: one completed upload, begun
    anew a few times where the storage does not take it.
    """
    if is_local(fs):
        with atomic_path(fs, path) as hidden:
            hidden.write_bytes(data)
        return
    with storage_errors(url_of(fs, path)):
        try_again(lambda: fs.pipe_file(path, data), url_of(fs, path))


@contextlib.contextmanager
def atomic_path(fs: AbstractFileSystem, path: str) -> Iterator[Path]:
    """A local file to write; when the block ends well it stands, complete, under `path`, and else nothing does.

    A block that leaves no file leaves nothing. A process killed inside leaves the hidden file
    `.<name>.<8 hex digits>.tmp`, which no listing shows. For a remote path the file is built in the temporary folder,
    which must have room for it; what a killed process left there the next upload removes. Of a killed upload S3 keeps
    bytes that no one sees: see `attn.storage.uploads`.
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
                try_again(lambda: _upload(fs, scratch, path), url_of(fs, path))


def left_by(name: str) -> str | None:
    """The file that was being written when a process was killed and left `name` behind; None for any other name."""
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
