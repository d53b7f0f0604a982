"""Image preprocessing, identical for photographs and for frames.

If a CNN is trained on photographs and applied to frames, different preprocessing would add to the domain shift.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

PREPROCESSING = "centred square, antialiased bilinear (Pillow), uint8 RGB"
"""Description of `resize_and_crop` for manifests. It does not mention that decoders yield square pixels, so that stores
and trainings begun before they did can resume; only videos whose pixels are not square differ."""


def resize_and_crop(
    image: Image.Image | UInt8[np.ndarray, "row col chan"], size: int
) -> UInt8[np.ndarray, "size size chan"]:
    """Scale the shorter side to `size`, keeping the aspect ratio, and crop the central square.

    Both happen in one step: the largest central square of the source is resampled. The result equals that of two steps
    up to the half pixel by which those round the scaled length and the crop, and nothing larger than the result is
    allocated, however long and thin the image is.

    Args:
        image: upright RGB image with square pixels, as returned by `read_image` and the decoders. Its EXIF data are
            ignored.
        size: side of the result, in pixels.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))
