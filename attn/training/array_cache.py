"""Arrays on the local disk that are filled once per machine and memory-mapped by all its processes.

A cache is a folder with one array and a manifest.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import math
import mmap
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped
from numpy.typing import DTypeLike

from attn.errors import UsageError

MANIFEST = "manifest.json"

Array = Shaped[np.ndarray, "..."]

Fill = Callable[[Array], dict[str, Any]]
"""Function that fills an array and returns the manifest."""


@dataclasses.dataclass(frozen=True)
class CachedArray:
    """A complete cache.

    Attributes:
        values: memory-mapped array, read-only.
        manifest: manifest of the cache.
    """

    values: Array
    manifest: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of an array in a file.

    Attributes:
        shape: shape of the array.
        dtype: type of its elements.
        in_pieces: True if pieces much smaller than 128 KB are read in any order. By default, the kernel reads 128 KB
            around each of them.
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    in_pieces: bool = False

    @property
    def num_bytes(self) -> int:
        """Size of the array, in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def reserve(self, file: IO[bytes]) -> Array:
        """Reserve the disk space of an empty file and map it; a full disk would later kill the process (SIGBUS).

        Raises:
            OSError: too little space is free.
        """
        disk = os.fstatvfs(file.fileno())
        free = disk.f_bavail * disk.f_frsize
        if self.num_bytes > free:
            raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")
        os.posix_fallocate(file.fileno(), 0, self._mapped_bytes)
        return self._map(file, mmap.ACCESS_WRITE)

    def read(self, file: IO[bytes]) -> Array:
        """Map a file for reading.

        Raises:
            ValueError: the file is too short.
        """
        return self._map(file, mmap.ACCESS_READ)

    @property
    def _mapped_bytes(self) -> int:
        return max(self.num_bytes, 1)  # an empty file cannot be mapped

    def _map(self, file: IO[bytes], access: int) -> Array:
        memory = mmap.mmap(file.fileno(), self._mapped_bytes, access=access)
        if self.in_pieces:
            memory.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(memory, self.dtype, math.prod(self.shape)).reshape(self.shape)


def cache_array(
    path: Path, layout: Layout, fill: Fill, *, stale: Callable[[dict[str, Any]], bool] = lambda manifest: False
) -> CachedArray:
    """Array of a cache, filled if it does not exist.

    If several processes of a machine need the cache, one fills it and the others wait. The cache appears under its name
    when it is complete. If the process that fills it is killed, the next one removes its leftovers and takes over. A
    cache that lacks a file, e.g. because a cleaner of temporary files has removed it, is filled again.

    Args:
        path: file of the array. Its folder is the cache, whose name must change whenever the array could; the folder
            above holds all caches and is on a local disk.
        layout: layout of the array.
        fill: function that fills the array and returns the manifest.
        stale: function that returns True if the cache with this manifest must be filled again.

    Raises:
        UsageError: the folder is not writable or has too little free space; errors raised by `fill` are passed on.
    """
    home, folder = path.parent, path.parent.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{home.name}.lock"):
            found = _found(path, layout)
            if found is None or stale(found.manifest):
                _make(path, layout, fill)
                found = _opened(path, layout)
        return found
    except OSError as error:
        raise UsageError(
            f"cache {folder}: {error.strerror or error}, but the cache needs {layout.num_bytes / 1e9:.1f} GB. Give "
            "another folder with --cache."
        ) from error


def _found(path: Path, layout: Layout) -> CachedArray | None:
    """Open a cache; None if it does not exist or lacks a file or a part of one."""
    try:
        return _opened(path, layout)
    except (FileNotFoundError, ValueError):
        return None


def _opened(path: Path, layout: Layout) -> CachedArray:
    with path.open("rb") as file:
        return CachedArray(layout.read(file), json.loads(path.with_name(MANIFEST).read_text()))


def _make(path: Path, layout: Layout, fill: Fill) -> None:
    home = path.parent
    # The host name is included so that a folder shared by several machines contains only complete caches.
    partial = home.with_name(f".{home.name}.{socket.gethostname()}.partial")
    for left in (home, partial):
        if left.exists():
            shutil.rmtree(left)
    partial.mkdir()
    try:
        with (partial / path.name).open("x+b") as file:
            manifest = fill(layout.reserve(file))
            os.fsync(file.fileno())
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
        try:
            partial.rename(home)
        except OSError:
            if not home.is_dir():  # otherwise another machine has created the cache
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lock between the processes of a machine; it is released if its holder is killed."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
