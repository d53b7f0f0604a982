"""Folder for the caches of a training on a machine, see `attn.training.array_cache`."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attn.storage.stale_files import locked_folder, remove_orphans
from attn.training.group import Group


@contextlib.contextmanager
def cache_folder(given: str | None, prefix: str, key: str, group: Group) -> Iterator[Path]:
    """Folder for caches; without a given one, a temporary folder that is removed at the end of the training.

    If a training fails or is killed, its temporary folder stays until the training resumes. A later training on the
    machine removes such folders if they are older than an hour and no process uses them.

    Args:
        given: folder that the user has given, which is never removed.
        prefix: first part of the names of temporary folders.
        key: last part of the name, which no other training has.
        group: this worker and its group.
    """
    folder = Path(given or f"{tempfile.gettempdir()}/{prefix}{key}")
    with contextlib.nullcontext() if given else _in_use(folder, prefix):
        yield folder
        group.gather(None)  # wait until no worker uses the caches any more
        if not given and group.local_rank == 0:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _in_use(folder: Path, prefix: str) -> Iterator[None]:
    with contextlib.ExitStack() as lock:
        with contextlib.suppress(OSError):  # `cache_array` reports a folder that cannot be written
            folder.mkdir(exist_ok=True)
            lock.enter_context(locked_folder(folder))
        remove_orphans(folder.parent.glob(f"{prefix}*"))
        yield
