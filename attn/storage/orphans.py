"""Temporary files whose writer was killed: told from those of a living one, and removed.

A writer holds a lock on what it writes, which the system takes away with the process, so a free lock means that
no one writes there. Only what is old is looked at: a file may be about to be locked or renamed, and on some network
filesystems a lock is known to its own machine alone. Where locks are not supported nothing is ever removed.
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
    """Marks an open file or folder as being written, until it is closed."""
    with contextlib.suppress(OSError):  # no locks here: then no one takes it for an orphan either
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Marks a folder as being written in."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def remove_orphans(paths: Iterable[Path], *, older_than_s: float = ORPHAN_AGE_S) -> None:
    """Removes those of these temporary files and folders that no one writes any more; never fails."""
    for path in paths:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < older_than_s or not _lock_is_free(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _lock_is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # NFS locks only what can be written
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
