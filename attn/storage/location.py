"""Files and folders on any storage, from URLs.

Local paths and `file://` are plain files; `s3://` goes through s3fs, which honours AWS_ENDPOINT_URL and
AWS_ENDPOINT_URL_S3; other schemes of fsspec work too. Listings are never cached: another process may be writing, and a
second listing costs less than a stale one.
"""

import contextlib
import dataclasses
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from attn.errors import UsageError
from attn.storage.error_messages import holds_credentials, shown
from attn.storage.filesystem import renamed_to, storage_errors, uploaded_to
from attn.storage.retry import retried


@dataclasses.dataclass(frozen=True)
class Location:
    """File or folder on any storage, whether it exists or not.

    Attributes:
        fs: filesystem.
        path: path on the filesystem; absolute on a disk.
        url: URL as it was given, for messages.
    """

    fs: AbstractFileSystem
    path: str
    url: str

    @classmethod
    def at(cls, url: str) -> "Location":
        """Location of a URL or a local path.

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
            path = os.path.abspath(os.path.expanduser(url.removeprefix("file://")))
            return cls(LocalFileSystem(), path, url)
        try:
            fs, path = url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"{shown(url)}: {error}. Give a local path or a URL such as s3://bucket/folder."
            ) from error
        if url.startswith(("s3://", "s3a://")) and not path.strip("/"):
            raise UsageError(f"{url}: the bucket is missing. Write s3://bucket/folder.")
        return cls(fs, path, url)

    def at_path(self, path: str) -> "Location":
        """Location of another path on the same filesystem, such as one from a listing."""
        return Location(self.fs, path, path if self.is_local else self.fs.unstrip_protocol(path))

    def __truediv__(self, name: str) -> "Location":
        return Location(self.fs, posixpath.join(self.path, name), posixpath.join(self.url, name))

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return posixpath.basename(self.path.rstrip("/"))

    @property
    def is_local(self) -> bool:
        """Whether the path can be opened as it is."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def absolute(self) -> str:
        """URL that is valid in any working directory: Ray Train workers have their own. A local path is its own URL."""
        return self.at_path(self.path).url

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Turn storage errors inside the block into a UsageError of one line, see `storage_errors`."""
        return storage_errors(self.url)

    def exists(self) -> bool:
        """Whether there is a file or folder.

        Raises:
            UsageError: the storage does not answer.
        """
        with self.errors():
            return bool(self.fs.exists(self.path))

    def is_folder(self) -> bool:
        """Whether there is a folder; on S3, one with a file in it. Wrap the call in `errors`."""
        return bool(self.fs.isdir(self.path))

    def remove(self) -> None:
        """Remove the file."""
        self.fs.rm_file(self.path)

    def open(self, **how: Any) -> Any:
        """Open the file to read bytes; keywords go to the filesystem. Wrap the call in `errors`."""
        return self.fs.open(self.path, "rb", **how)

    def read_bytes(self, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes `start` to `stop` of the file, or to its end; fewer if the file ends earlier.

        Raises:
            OSError: the read failed. Storage clients raise other errors too, so wrap the call in `errors`.
        """
        if self.is_local:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        data = self.fs.cat_file(self.path, start=start or None, end=stop)
        return data if isinstance(data, bytes) else data.encode()

    def read_text(self) -> str:
        """Text of a small UTF-8 file, without a byte order mark.

        Raises:
            UsageError: the file is missing, unreadable or not UTF-8.
        """
        with self.errors():
            data = self.read_bytes()
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self}: not UTF-8 text (byte {error.start}). Save the file as UTF-8.") from error

    def write_atomic(self, data: bytes) -> None:
        """Write the file so that it appears complete or not at all; missing parent folders are created.

        Local: written under a hidden name in the same folder, then renamed, both fsynced. S3: one complete upload,
        restarted a few times if the storage refuses it.
        """
        if self.is_local:
            with self.atomic_path() as hidden:
                hidden.write_bytes(data)
            return
        with self.errors():
            retried(lambda: self.fs.pipe_file(self.path, data), self.url)

    @contextlib.contextmanager
    def atomic_path(self) -> Iterator[Path]:
        """Yield a local file to write; its content appears at the location only if the block succeeds.

        If the block creates no file, none appears. A process killed inside leaves the hidden file `.<name>.<8 hex
        digits>.tmp`, which listings skip. For a remote location, the file is built in the temporary folder, which must
        have space for it; the next upload removes files that killed processes left there. On S3, a killed upload leaves
        bytes that no listing shows: see `attn.storage.uploads`.
        """
        with self.errors():
            writing = renamed_to(Path(self.path)) if self.is_local else uploaded_to(self.fs, self.path, self.url)
            with writing as hidden:
                yield hidden
