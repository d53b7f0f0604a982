"""Lock on a folder on a disk, so that two runs do not compute the same rows."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

from attn.errors import UsageError
from attn.storage.location import Location

log = logging.getLogger(__name__)


@contextlib.contextmanager
def occupied(folder: Location, *, wait: bool = False) -> Iterator[None]:
    """Lock a store, or the folder of a training, against other runs while the block lasts.

    The folder itself is locked, so nothing is left behind: the operating system releases the lock when the process
    ends, however it ends. On storages without locks (S3, some network disks), other runs are not kept out; two runs
    then compute the same videos, and each removes the duplicates at its end.

    Args:
        folder: the folder; on a disk, it is created if it does not exist.
        wait: whether to wait for the end of another run instead of raising.

    Raises:
        UsageError: another run holds the lock.
    """
    if not folder.is_local:
        yield
        return
    with folder.errors():
        os.makedirs(folder.path, exist_ok=True)
        descriptor = os.open(folder.path, os.O_RDONLY)
    try:
        _lock(descriptor, folder.url, wait=wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, url: str, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait:
            log.info("%s: another run is using this folder. Waiting for it to end.", url)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        raise UsageError(f"{url}: another run is using this folder. Wait for it to end, or stop it.") from None
    except OSError:  # locks are not supported
        return
