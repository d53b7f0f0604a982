"""Pixel caches: images of one size that are prepared once and memory-mapped from the local disk.

Horizontal flips are the only augmentation, so images can be prepared in advance. The price is disk space: 150 KB for an
image of 224 pixels, 3.6 GB for 24,000 photographs, 53 GB for the 350,000 frames of UCF101's training videos at stride
5.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int8, UInt8

from attn.training.array_cache import Fill, Layout, cache_array

PIXELS = "pixels.u8"


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """Prepared images of a list.

    Attributes:
        pixels: memory-mapped pixels, in the order of the list; skipped images are black.
        skipped: position in the list → reason for skipping the image.
        stacks: for optical flow, the rows of the flows in each stack; `pixels` then has one flow per frame. None for
            images.
    """

    pixels: UInt8[np.ndarray, "image row col rgb"] | Int8[np.ndarray, "frame 2 row col"]
    skipped: dict[int, str]
    stacks: Int[np.ndarray, "frame step"] | None = None


def cache_pixels(
    num_images: int,
    size: int,
    key: str,
    folder: Path,
    fill: Fill,
    *,
    stale: Callable[[dict[str, Any]], bool] = lambda manifest: False,
) -> ImageCache:
    """Cache with a given key, created if it does not exist, see `cache_array`.

    Args:
        num_images: number of images.
        size: side of the images, in pixels.
        key: name of the cache, which must change whenever its content could.
        folder: folder for caches, on a local disk.
        fill: function that fills the pixels and returns further entries of the manifest, `skipped` among them.
        stale: function that returns True if the cache with this manifest must be created again.

    Raises:
        UsageError: the folder is not writable or has too little free space; errors raised by `fill` are passed on.
    """

    layout = Layout((num_images, size, size, 3), np.uint8)
    found = cache_array(folder / key / PIXELS, layout, fill, stale=stale)
    return ImageCache(found.values, {int(index): why for index, why in found.manifest.get("skipped", {}).items()})
