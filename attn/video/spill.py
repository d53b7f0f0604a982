"""Temporary local copies of remote bytes, in memory if there is ample room.

Decoders are given a path, because some damaged files crash them when read from a buffer but not when read from a path.
A file in /dev/shm is as fast as a buffer. The price is that a process that is killed leaves its copy behind. Every copy
is locked by its owner, so the next process that makes one recognises orphans and removes them.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from attn.errors import FleetingError
from attn.storage.stale_files import remove_orphans

MEMORY = Path("/dev/shm")  # noqa: S108  the names in it are random and opened exclusively
MEMORY_SHARE = 0.25
PREFIX = "attn-video-"
ORPHAN_AGE_S = 60.0  # memory is scarce; a copy is locked as soon as it exists


@contextlib.contextmanager
def spilled(chunks: Iterable[bytes], size: int, suffix: str) -> Iterator[Path]:
    """Provide a temporary file with these bytes while the block runs.

    Args:
        chunks: content; errors while reading it are raised.
        size: size of the content in bytes. A file in memory takes at most a quarter of the free memory.
        suffix: suffix of the file name, such as `.avi`, which decoders may need.

    Raises:
        FleetingError: neither memory nor the temporary folder has room.
    """
    descriptor, path = _create(size, suffix)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                _write(file.fileno(), chunk, path)
            yield path
    finally:
        path.unlink(missing_ok=True)


def _create(size: int, suffix: str) -> tuple[int, Path]:
    """Create a locked file: in memory with its space reserved, otherwise in the temporary folder."""
    with contextlib.suppress(OSError):
        if size <= shutil.disk_usage(MEMORY).free * MEMORY_SHARE:
            return _locked(MEMORY, suffix, reserve=size)
    return _locked(Path(tempfile.gettempdir()), suffix, reserve=0)


def _locked(folder: Path, suffix: str, reserve: int) -> tuple[int, Path]:
    remove_orphans(folder.glob(f"{PREFIX}*"), older_than_s=ORPHAN_AGE_S)
    path = folder / f"{PREFIX}{secrets.token_hex(8)}{suffix}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if reserve:
            os.posix_fallocate(descriptor, 0, reserve)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor, path


def _write(descriptor: int, chunk: bytes, path: Path) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FleetingError(f"{path.parent}: no room for a copy of the video. Point TMPDIR elsewhere.") from error
        raise
