"""Removal of temporary files whose writer was killed.

A writer holds a lock on the file that it writes, and the operating system releases the lock with the process, so a free
lock means that the writer has ended. Only old files are considered: a file may be about to be locked or renamed, and on
some network filesystems only its own machine sees a lock. Nothing is removed if locks are not supported.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ORPHAN_AGE_S = 3600.0


def lock(descriptor: int) -> None:
    """Lock an open file or folder, which marks it as being written until it is closed."""
    with contextlib.suppress(OSError):  # locks are not supported: `remove_orphans` then removes nothing
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder while the block lasts, which marks it as being written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def remove_orphans(paths: Iterable[Path], *, older_than_s: float = ORPHAN_AGE_S) -> None:
    """Remove temporary files and folders without a living writer; never fails."""
    for path in paths:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < older_than_s or not _lock_is_free(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _lock_is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # NFS locks only files opened for writing
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
