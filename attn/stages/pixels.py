"""Pixel caches: images of one size that were prepared once and are mapped from the disk of a machine.

Horizontal flips are the only augmentation, so nothing is lost by preparing. The price is disk: 150 KB for an image of
224 pixels, 3.6 GB for 24,000 photographs, 53 GB for the 350,000 frames of UCF101's training videos at stride 5.
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
    """Prepared images of one list.

    Attributes:
        pixels: mapped from disk, rows in the order of the list; the row of a skipped image is black.
        skipped: position in the list → why the image cannot be used.
    """

    pixels: UInt8[np.ndarray, "image row col rgb"]
    skipped: dict[int, str]


Fill = Callable[[np.ndarray], dict[str, Any]]
"""Fills the pixels; what the manifest shall say besides, `skipped` among it where images are."""


def cache_pixels(
    num_images: int,
    size: int,
    key: str,
    folder: Path,
    fill: Fill,
    *,
    stale: Callable[[Path], bool] = lambda home: False,
) -> ImageCache:
    """The cache of that key, made now unless it stands there already.

    Of several processes on a machine one makes it and the others wait. It appears under its name when it is complete;
    what a killed process leaves behind is thrown away by the next.

    Args:
        num_images: rows.
        size: side of the images, in pixels.
        key: names the cache: another one as soon as anything in it could differ.
        folder: for caches, on a disk of this machine.
        fill: makes it.
        stale: whether what stands there, complete, must be made again.

    Raises:
        UsageError: the folder cannot be written, or has no room; what `fill` raises.
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
        raise UsageError(f"image cache {folder}: {why}; it needs {need}, name another folder with --cache") from error
    skipped = json.loads((home / MANIFEST).read_text()).get("skipped", {})
    pixels = np.memmap(home / PIXELS, np.uint8, "r", shape=shape)
    return ImageCache(pixels, {int(index): why for index, why in skipped.items()})


def _make(home: Path, shape: tuple[int, int, int, int], fill: Fill) -> None:
    # The name of the machine: a folder that several share by mistake still gets whole caches only.
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
            if not home.is_dir():  # else another machine was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _reserve(path: Path, shape: tuple[int, int, int, int]) -> np.memmap:
    """A mapped file whose room is taken now: running out of disk later would kill the process without a word."""
    need, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if need > free:
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")
    with path.open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, need)
    return np.memmap(path, np.uint8, "r+", shape=shape)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; its death lets go of it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
