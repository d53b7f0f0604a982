"""The image cache: every photograph is decoded, resized and cropped once; epochs then read plain pixels.

Horizontal flips are the only augmentation, so nothing is lost by it. The price is disk: 150 KB for an image of
224 pixels, 3.6 GB for 24,000 of them.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from attn.datasets.image_folder import ImageError, read_image
from attn.errors import UsageError
from attn.storage.reasons import shown
from attn.video.transform import PREPROCESSING, resize_and_crop

MANIFEST = "manifest.json"
PIXELS = "pixels.u8"
MOST_BAD_FRACTION = 0.5


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """Prepared images of one list.

    Attributes:
        pixels: mapped from disk, rows in the order of the list; the row of a skipped image is black.
        skipped: position in the list → why the image cannot be used.
    """

    pixels: UInt8[np.ndarray, "image row col rgb"]
    skipped: dict[int, str]


def cache_key(versions: Sequence[str], size: int) -> str:
    """Name of the cache of a list of images: another one as soon as anything in it could differ.

    Args:
        versions: of each image its path, bytes and time of change.
        size: side of the prepared images, in pixels.
    """
    return hashlib.sha256("\n".join((PREPROCESSING, str(size), *versions)).encode()).hexdigest()[:16]


def cache_images(
    paths: Sequence[str],
    key: str,
    size: int,
    folder: Path,
    *,
    threads: int,
    tell: Callable[[int], None] = lambda done: None,
) -> ImageCache:
    """The cache of a list of images, made now unless it stands there already.

    An image that cannot be used is skipped. One that the storage does not give (gone, not permitted) is tried again
    when the cache is used again: nothing else would tell that somebody mended it.

    Of several processes on a machine one makes it and the others wait. It appears under its name when it is complete;
    what a killed process leaves behind is thrown away by the next. Threads do: decoding and resizing let go of the
    interpreter.

    Args:
        paths: of the images.
        key: of `cache_key`.
        size: side of the prepared images, in pixels.
        folder: for caches, on a disk of this machine.
        threads: that decode.
        tell: gets the number of images done, now and then.

    Raises:
        UsageError: the folder cannot be written, or has no room; the storage of the images does not answer.
    """
    home = folder / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{key}.lock"):
            if home.is_dir() and _mended(paths, home):
                shutil.rmtree(home)
            if not home.is_dir():
                _make(paths, size, home, threads, tell)
    except OSError as error:
        need = f"{len(paths) * size * size * 3 / 1e9:.1f} GB"
        why = error.strerror or error
        raise UsageError(f"image cache {folder}: {why}; it needs {need}, name another folder with --cache") from error
    skipped = json.loads((home / MANIFEST).read_text())["skipped"]
    pixels = np.memmap(home / PIXELS, np.uint8, "r", shape=(len(paths), size, size, 3))
    return ImageCache(pixels, {int(index): why for index, why in skipped.items()})


def check_skipped(cache: ImageCache, labels: Int[np.ndarray, "image"], class_names: Sequence[str]) -> None:
    """Refuses a collection too broken to learn from: a class without images, or most images bad.

    Raises:
        UsageError: with the first image that is at fault.
    """
    if not cache.skipped:
        return
    example = next(iter(cache.skipped.values()))
    kept = Counter(int(label) for index, label in enumerate(labels) if index not in cache.skipped)
    for label in np.unique(labels):
        if not kept[int(label)]:
            raise UsageError(f"no image of class {class_names[label]} can be read (e.g. {example}); mend or remove it")
    if len(cache.skipped) > MOST_BAD_FRACTION * len(labels):
        raise UsageError(f"{len(cache.skipped)} of {len(labels)} images cannot be read (e.g. {example})")


def _make(paths: Sequence[str], size: int, home: Path, threads: int, tell: Callable[[int], None]) -> None:
    # The name of the machine: a folder that several share by mistake still gets whole caches only.
    partial = home.with_name(f".{home.name}.{socket.gethostname()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        pixels = _reserve(partial / PIXELS, (len(paths), size, size, 3))
        faults = _prepare(paths, size, pixels, threads, tell)
        pixels.flush()
        manifest = {
            "preprocessing": PREPROCESSING,
            "skipped": {index: fault.why for index, fault in faults.items()},
            "not_given": [index for index, fault in faults.items() if fault.not_given],
        }
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
    with path.open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)))
    return np.memmap(path, np.uint8, "r+", shape=shape)


class _Fault(NamedTuple):
    """Why an image is skipped, and whether it was the storage that did not give it."""

    why: str
    not_given: bool = False


def _prepare(
    paths: Sequence[str], size: int, pixels: np.ndarray, threads: int, tell: Callable[[int], None]
) -> dict[int, _Fault]:
    def prepare(index: int) -> _Fault | None:
        try:
            pixels[index] = resize_and_crop(read_image(paths[index]), size)
        except Exception as error:  # whatever it is: one photograph of thousands must not end a training
            return _fault(paths[index], error)
        return None

    faults = {}
    with ThreadPoolExecutor(threads) as pool:
        for index, fault in enumerate(pool.map(prepare, range(len(paths)))):
            if fault is not None:
                faults[index] = fault
            tell(index + 1)
    return faults


def _fault(path: str, error: Exception) -> _Fault:
    """Of one image; what ails the whole storage is raised, since no other image would fare better."""
    if isinstance(error, ImageError):
        return _Fault(str(error))
    if not isinstance(error, UsageError):
        return _Fault(f"{shown(path)}: {type(error).__name__}: {' '.join(str(error).split())}")
    cause = error.__cause__
    # The clients' own errors, some of them an OSError too, tell that nobody answers or that nobody may log in.
    if type(cause).__module__ != "builtins" or isinstance(cause, TimeoutError | ConnectionError):
        raise error
    return _Fault(str(error), not_given=True)


def _mended(paths: Sequence[str], home: Path) -> bool:
    """Whether an image that the storage did not give can be read now."""

    def readable(path: str) -> bool:
        try:
            read_image(path)
        except Exception:
            return False
        return True

    not_given: list[int] = json.loads((home / MANIFEST).read_text()).get("not_given", [])
    return any(readable(paths[index]) for index in not_given)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; its death lets go of it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
