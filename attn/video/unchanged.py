"""Detection of files and shards that are replaced while a long run reads them."""

import os
import stat
import tarfile
from typing import NamedTuple

from attn.errors import VideoError
from attn.storage.location import Location

HEADER_BYTES = tarfile.BLOCKSIZE
# Limits of a ustar header; longer names and larger sizes are stored in records before it.
LONGEST_NAME = tarfile.LENGTH_NAME
LARGEST_SIZE = 8**11 - 1
MARKS = ("ETag", "etag", "mtime", "LastModified", "last_modified")


class Version(NamedTuple):
    """Size of a file in bytes, and a mark that changes with its content, if the storage provides one."""

    size: int
    mark: object


def version_of(file: Location) -> Version:
    """Return the version of a file, with one request if the storage is remote.

    Raises:
        VideoError: the path is not that of a regular file.
        OSError, errors of the storage's client: the file is missing or unreadable; wrap calls in `Location.errors`.
    """
    if not file.is_local:
        info = file.fs.info(file.path)
        return Version(info.get("size") or 0, next((info[mark] for mark in MARKS if mark in info), None))
    status = os.stat(file.path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block forever
        raise VideoError(f"{file.path}: not a regular file")
    with open(file.path, "rb"):
        return Version(status.st_size, (status.st_ino, status.st_mtime_ns))


def is_header_of(block: bytes, name: str, size: int) -> bool:
    """Return whether a block of a tar is the header of this regular file, as far as the header shows."""
    try:
        found = tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    name_before = not name.isascii() or len(name) > LONGEST_NAME
    return found.isreg() and (found.name == name or name_before) and (found.size == size or size > LARGEST_SIZE)
