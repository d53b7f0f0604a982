"""The one image preprocessing of the project, the same for photographs and for frames.

A CNN that learned from photographs prepared in one way and meets frames prepared in another sees a difference of
domain that is none.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

PREPROCESSING = "centred square, antialiased bilinear (Pillow), uint8 RGB"
"""Work of `resize_and_crop`, for manifests. That decoders give square pixels is not in it: stores and trainings begun
before they did go on, and only videos whose pixels are not square differ."""


def resize_and_crop(
    image: Image.Image | UInt8[np.ndarray, "row col chan"], size: int
) -> UInt8[np.ndarray, "size size chan"]:
    """Shorter side scaled to `size` keeping the aspect, then the square in the middle.

    Both at once: the largest centred square of the source is resampled, which gives the pixels of the two steps, to
    the half pixel by which those would round the scaled length and the cut, and never holds more than the result,
    however long and thin the image is.

    Args:
        image: upright, with square pixels and in RGB, as `read_image` and the decoders give it. Its EXIF is not read.
        size: side of the result, in pixels.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))
