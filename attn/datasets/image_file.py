"""One image file from the Web, whatever it really is, as upright RGB.

The extension is not believed. Pillow does the decoding; here is what it leaves to its users: transparency, 16 bits,
turned cameras, files cut off, and pictures too large to be meant well.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors
from attn.storage.reasons import shown

# What the Web shows. Of Pillow's other formats some are programs: EPS is handed to Ghostscript, which executes it.
FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_WHITE = (255, 255, 255, 255)


class ImageError(Exception):
    """One image cannot be used. The message names the file and says why."""


def read_image(path: str) -> Image.Image:
    """The image in RGB as a viewer shows it: turned as its EXIF says, transparency over white, first picture of many.

    16-bit grey is scaled to 8 bits. Pictures of more pixels than Pillow warns of (`Image.MAX_IMAGE_PIXELS`) are
    refused before they are unpacked.

    Args:
        path: local or URL.

    Raises:
        ImageError: no image, cut off, too large, or of a kind that cannot be shown in RGB.
        UsageError: the storage does not give the file.
    """
    with storage_errors(path):
        data = read_bytes(*open_filesystem(path))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            image.load()
            return _rgb(_upright(image))
    # A damaged file makes Pillow's readers fail in any way: OSError, SyntaxError, ValueError, struct.error, …
    except Exception as error:
        raise ImageError(f"{shown(path)}: {_reason(error)}") from error


def _check_size(image: Image.Image) -> None:
    """Refuses at once what Pillow only warns of up to twice its limit."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width}×{image.height} pixels are more than {limit}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the picture
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
        return "is no image"
    return " ".join(str(error).split()) or type(error).__name__
