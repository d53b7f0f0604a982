"""Pixel caches of photographs, which are decoded, resized and cropped once and read in every epoch."""

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from PIL import Image

from attn.datasets.image_folder import ImageError, read_image
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.training.pixels import ImageCache, cache_pixels
from attn.video.transform import BILINEAR, Resampling, resize_and_crop

MOST_BAD_FRACTION = 0.5


def cache_key(versions: Sequence[str], size: int, resampling: Resampling = BILINEAR) -> str:
    """Name of the cache of a list of images, which changes whenever its content could.

    Args:
        versions: path, size in bytes and modification time of each image.
        size: side of the prepared images, in pixels.
        resampling: part of an image that is kept, and the interpolation.
    """
    return hashlib.sha256("\n".join((str(resampling), str(size), *versions)).encode()).hexdigest()[:16]


def cache_images(
    paths: Sequence[str],
    key: str,
    size: int,
    folder: Path,
    *,
    threads: int,
    tell: Callable[[int], None] = lambda done: None,
    resampling: Resampling = BILINEAR,
) -> ImageCache:
    """Cache of a list of images, created if it does not exist.

    Unusable images are skipped. Images that cannot be read from the storage (missing, permission denied) are tried
    again whenever the cache is used, because their repair cannot be detected otherwise. Threads are sufficient, because
    decoding and resizing release the GIL.

    Args:
        paths: paths of the images.
        key: result of `cache_key`.
        size: side of the prepared images, in pixels.
        folder: folder for caches, on a local disk.
        threads: number of decoding threads.
        tell: progress callback; called from time to time with the number of images processed.
        resampling: part of an image that is kept, and the interpolation; the same as in `key`.

    Raises:
        UsageError: the folder is not writable or has too little free space, or the storage of the images does not
            respond.
    """

    def fill(pixels: np.ndarray) -> dict[str, Any]:
        resized = functools.partial(resize_and_crop, size=size, resampling=resampling)
        faults = _prepare(paths, resized, pixels, threads, tell)
        return {
            "skipped": {index: fault.why for index, fault in faults.items()},
            "not_given": [index for index, fault in faults.items() if fault.not_given],
        }

    return cache_pixels(len(paths), size, key, folder, fill, stale=lambda manifest: _mended(paths, manifest))


def check_skipped(cache: ImageCache, labels: Int[np.ndarray, "image"], class_names: Sequence[str]) -> None:
    """Check that enough images can be read for training.

    Raises:
        UsageError: a class has no readable image, or more than half of all images are unreadable; the message names the
            first of them.
    """
    if not cache.skipped:
        return
    example = next(iter(cache.skipped.values()))
    kept = Counter(int(label) for index, label in enumerate(labels) if index not in cache.skipped)
    for label in np.unique(labels):
        if not kept[int(label)]:
            raise UsageError(
                f"class {class_names[label]}: none of its images can be read ({example}). Repair the images or remove "
                "the class."
            )
    if len(cache.skipped) > MOST_BAD_FRACTION * len(labels):
        raise UsageError(
            f"{len(cache.skipped)} of {len(labels)} images cannot be read, e.g. {example}. Repair or remove them."
        )


class _Fault(NamedTuple):
    """Reason for skipping an image.

    Attributes:
        why: message.
        not_given: True if the image could not be read from the storage.
    """

    why: str
    not_given: bool = False


def _prepare(
    paths: Sequence[str],
    resized: Callable[[Image.Image], np.ndarray],
    pixels: np.ndarray,
    threads: int,
    tell: Callable[[int], None],
) -> dict[int, _Fault]:
    def prepare(index: int) -> _Fault | None:
        try:
            pixels[index] = resized(read_image(paths[index]))
        except Exception as error:  # of any type, because one of thousands of images must not stop a training run
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
    """Fault of one image; errors of the storage itself are raised, because all other images would fail as well."""
    if isinstance(error, ImageError):
        return _Fault(str(error))
    if not isinstance(error, UsageError):
        return _Fault(f"{shown(path)}: {type(error).__name__}: {' '.join(str(error).split())}")
    cause = error.__cause__
    # Errors of storage clients (some are OSErrors) mean that the storage does not respond or denies access.
    if type(cause).__module__ != "builtins" or isinstance(cause, TimeoutError | ConnectionError):
        raise error
    return _Fault(str(error), not_given=True)


def _mended(paths: Sequence[str], manifest: dict[str, Any]) -> bool:
    """Return whether any image that could not be read from the storage is readable now."""

    def readable(path: str) -> bool:
        try:
            read_image(path)
        except Exception:
            return False
        return True

    not_given: list[int] = manifest.get("not_given", [])
    return any(readable(paths[index]) for index in not_given)
