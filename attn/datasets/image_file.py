"""Decoding of one image file from the Web, whatever its extension, as upright RGB.

Pillow decodes the file. This module handles what Pillow leaves to its users: transparency, 16 bits, rotated cameras,
truncated files and oversized images.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location

# Formats that browsers show. Some of Pillow's other formats are programs: Ghostscript would execute EPS.
FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_WHITE = (255, 255, 255, 255)


class ImageError(Exception):
    """Error of one image that cannot be used. The message names the file and gives the reason."""


def read_image(path: str) -> Image.Image:
    """Image in RGB as a viewer shows it: rotated as in its EXIF, on white if transparent, first frame only.

    16-bit grey is scaled to 8 bits. Images with more pixels than Pillow's limit (`Image.MAX_IMAGE_PIXELS`) are refused
    before they are decompressed.

    Args:
        path: local path or URL.

    Raises:
        ImageError: the file is not an image, is truncated or too large, or cannot be converted to RGB.
        UsageError: the storage cannot deliver the file.
    """
    with storage_errors(path):
        data = Location.at(path).read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            image.load()
            return _rgb(_upright(image))
    # A damaged file makes Pillow's readers fail in any way: OSError, SyntaxError, ValueError, struct.error, …
    except Exception as error:
        raise ImageError(f"{shown(path)}: {_reason(error)}") from error


def _check_size(image: Image.Image) -> None:
    """Refuse images above Pillow's limit; up to twice the limit, Pillow itself only warns."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width}×{image.height} pixels exceed the limit of {limit}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the image may be good although its EXIF is broken
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return " ".join(str(error).split()) or type(error).__name__
