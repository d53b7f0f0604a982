"""One run at a time in a folder on a disk: a second one would compute everything twice."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import is_local, storage_errors

log = logging.getLogger(__name__)


@contextlib.contextmanager
def occupied(fs: AbstractFileSystem, root: str, url: str, *, wait: bool = False) -> Iterator[None]:
    """Keeps other runs out of a store, or out of a training's folder, while the block lasts.

    The folder itself is locked, so nothing is left behind: the system takes the lock away with the process, however
    it ends. Where there are no such locks (S3, some network disks) no one is kept out; two runs then compute the
    same videos, and each takes out at its end what is there twice.

    Args:
        fs, root: the folder; on a disk it is made if it is not there.
        url: names it in the message.
        wait: for the end of another run, in place of the error.

    Raises:
        UsageError: another run holds it.
    """
    if not is_local(fs):
        yield
        return
    with storage_errors(url):
        os.makedirs(root, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY)
    try:
        _lock(descriptor, url, wait=wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, url: str, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait:
            log.info("%s: another run is at work here; waiting for its end", url)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        raise UsageError(f"{url}: another run is at work here; wait for its end, or end it") from None
    except OSError:  # no locks here
        return
