"""Pixel caches: images of one size that are prepared once and memory-mapped from the local disk.

Horizontal flips are the only augmentation, so images can be prepared in advance. The price is disk space: 150 KB for an
image of 224 pixels, 3.6 GB for 24,000 photographs, 53 GB for the 350,000 frames of UCF101's training videos at stride
5.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from attn.errors import UsageError
from attn.video.transform import PREPROCESSING

MANIFEST = "manifest.json"
PIXELS = "pixels.u8"


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """Prepared images of a list.

    Attributes:
        pixels: memory-mapped pixels, in the order of the list; skipped images are black.
        skipped: position in the list → reason for skipping the image.
    """

    pixels: UInt8[np.ndarray, "image row col rgb"]
    skipped: dict[int, str]


Fill = Callable[[np.ndarray], dict[str, Any]]
"""Function that fills the pixels and returns further entries of the manifest, `skipped` among them."""


def cache_pixels(
    num_images: int,
    size: int,
    key: str,
    folder: Path,
    fill: Fill,
    *,
    stale: Callable[[Path], bool] = lambda home: False,
) -> ImageCache:
    """Cache with a given key, created if it does not exist.

    If several processes of a machine need the cache, one creates it and the others wait. The cache appears under its
    name when it is complete. Leftovers of a killed process are removed by the next one.

    Args:
        num_images: number of images.
        size: side of the images, in pixels.
        key: name of the cache, which must change whenever its content could.
        folder: folder for caches, on a local disk.
        fill: function that fills the cache.
        stale: function that returns True if an existing, complete cache must be created again.

    Raises:
        UsageError: the folder is not writable or has too little free space; errors raised by `fill` are passed on.
    """
    home, shape = folder / key, (num_images, size, size, 3)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{key}.lock"):
            if home.is_dir() and stale(home):
                shutil.rmtree(home)
            if not home.is_dir():
                _make(home, shape, fill)
    except OSError as error:
        need = f"{np.prod(shape) / 1e9:.1f} GB"
        why = error.strerror or error
        raise UsageError(
            f"image cache {folder}: {why}, but the cache needs {need}. Give another folder with --cache."
        ) from error
    skipped = json.loads((home / MANIFEST).read_text()).get("skipped", {})
    pixels = np.memmap(home / PIXELS, np.uint8, "r", shape=shape)
    return ImageCache(pixels, {int(index): why for index, why in skipped.items()})


def _make(home: Path, shape: tuple[int, int, int, int], fill: Fill) -> None:
    # The host name is included so that a folder shared by several machines contains only complete caches.
    partial = home.with_name(f".{home.name}.{socket.gethostname()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        pixels = _reserve(partial / PIXELS, shape)
        manifest = {"preprocessing": PREPROCESSING, **fill(pixels)}
        pixels.flush()
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
        try:
            partial.rename(home)
        except OSError:
            if not home.is_dir():  # otherwise another machine has created the cache
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _reserve(path: Path, shape: tuple[int, int, int, int]) -> np.memmap:
    """Memory-mapped file with preallocated space, because a full disk would later kill the process (SIGBUS)."""
    need, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if need > free:
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")
    with path.open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, need)
    return np.memmap(path, np.uint8, "r+", shape=shape)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lock between the processes of a machine; it is released if its holder is killed."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
