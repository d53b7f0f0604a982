"""Conversion of video and class names to file names and to text for figures."""

import functools
import hashlib
from urllib.parse import quote

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

FONT = "DejaVu Sans"  # included in matplotlib
NAME_BYTES = 110  # two names and the suffix fit into the 255 bytes of a file name


def file_name(*names: str, suffix: str = "png") -> str:
    """File name for a video, or a video and a class, valid on every file system.

    Characters other than letters, digits, spaces and `_.-~` are written as %XX. Long names are truncated and end in a
    hash, so that different names stay different.
    """
    quoted = (quote(name, safe=" ", errors="surrogatepass") for name in names)
    return ".".join([*(_cut(name) for name in quoted), suffix])


def printable(text: str) -> str:
    """Replace characters that the font cannot draw by �."""
    return "".join(c if ord(c) in _drawable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, room: int) -> str:
    """Shorten a text to `room` characters (at least 3) by replacing its middle with an ellipsis."""
    half = max((room - 1) // 2, 1)
    return text if len(text) <= room else f"{text[:half]}…{text[-half:]}"


@functools.cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """The font at a size, for text drawn with Pillow."""
    return ImageFont.truetype(findfont(FONT), pixels)


def fitted(text: str, pixels: int, width: float) -> str:
    """Text that the font can draw, shortened to a width in pixels; empty if not even three characters fit."""
    whole, drawn = printable(text), font(pixels)
    if drawn.getlength(whole) <= width:
        return whole
    rooms = range(len(whole) - 1, 2, -1)
    return next((short for room in rooms if drawn.getlength(short := shortened(whole, room)) <= width), "")


def _cut(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name if len(name) <= NAME_BYTES else f"{name[: NAME_BYTES - 13]}-{digest}"


@functools.cache
def _drawable() -> frozenset[int]:
    font = FT2Font(findfont(FONT))
    return frozenset(code for code in font.get_charmap() if chr(code).isprintable())
