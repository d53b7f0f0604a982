"""Photographs in a pixel cache: every one is decoded, resized and cropped once; epochs then read plain pixels."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from attn.datasets.image_folder import ImageError, read_image
from attn.errors import UsageError
from attn.stages.pixels import MANIFEST, ImageCache, cache_pixels
from attn.storage.reasons import shown
from attn.video.transform import PREPROCESSING, resize_and_crop

MOST_BAD_FRACTION = 0.5


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
    when the cache is used again: nothing else would tell that someone mended it. Threads do: decoding and resizing
    let go of the interpreter.

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

    def fill(pixels: np.ndarray) -> dict[str, Any]:
        faults = _prepare(paths, size, pixels, threads, tell)
        return {
            "skipped": {index: fault.why for index, fault in faults.items()},
            "not_given": [index for index, fault in faults.items() if fault.not_given],
        }

    return cache_pixels(len(paths), size, key, folder, fill, stale=lambda home: _mended(paths, home))


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
    # The clients' own errors, some of them an OSError too, tell that there is no answer or no permission.
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
