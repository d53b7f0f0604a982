"""Whether bytes are still those that were listed: files and shards are replaced while a long run reads them."""

import os
import stat
import tarfile
from typing import NamedTuple

from fsspec import AbstractFileSystem

from attn.errors import VideoError
from attn.storage.filesystem import is_local

HEADER_BYTES = tarfile.BLOCKSIZE
# Of a ustar header: longer names and sizes stand in records before it.
LONGEST_NAME = tarfile.LENGTH_NAME
LARGEST_SIZE = 8**11 - 1
MARKS = ("ETag", "etag", "mtime", "LastModified", "last_modified")


class Version(NamedTuple):
    """Size of a file in bytes, and what changes with its content, as far as its storage tells."""

    size: int
    mark: object


def version_of(fs: AbstractFileSystem, path: str) -> Version:
    """One request to a remote storage.

    Raises:
        VideoError: no plain file.
        OSError and what the storage's own client raises: wrap in `storage_errors`.
    """
    if not is_local(fs):
        info = fs.info(path)
        return Version(info.get("size") or 0, next((info[mark] for mark in MARKS if mark in info), None))
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise VideoError(f"{path}: no plain file")
    with open(path, "rb"):
        return Version(status.st_size, (status.st_ino, status.st_mtime_ns))


def is_header_of(block: bytes, name: str, size: int) -> bool:
    """Whether a block of a tar is the header of this plain member, as far as a header can tell."""
    try:
        found = tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    told_before = not name.isascii() or len(name) > LONGEST_NAME
    return found.isreg() and (found.name == name or told_before) and (found.size == size or size > LARGEST_SIZE)
