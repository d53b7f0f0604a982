"""Conversion of video and class names to file names and to text for figures."""

import functools
import hashlib
from urllib.parse import quote

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # included in matplotlib
NAME_BYTES = 110  # two names and the suffix fit into the 255 bytes of a file name


def file_name(video_id: str, class_name: str) -> str:
    """File name of a PNG for a video and a class, valid on every file system.

    Characters other than letters, digits, spaces and `_.-~` are written as %XX. Long names are truncated and end in a
    hash, so that different names stay different.
    """
    names = (quote(name, safe=" ", errors="surrogatepass") for name in (video_id, class_name))
    return ".".join([*(_cut(name) for name in names), "png"])


def printable(text: str) -> str:
    """Replace characters that the font cannot draw by �."""
    return "".join(c if ord(c) in _drawable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, room: int) -> str:
    """Shorten a text to `room` characters (at least 3) by replacing its middle with an ellipsis."""
    half = max((room - 1) // 2, 1)
    return text if len(text) <= room else f"{text[:half]}…{text[-half:]}"


def _cut(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name if len(name) <= NAME_BYTES else f"{name[: NAME_BYTES - 13]}-{digest}"


@functools.cache
def _drawable() -> frozenset[int]:
    font = FT2Font(findfont(FONT))
    return frozenset(code for code in font.get_charmap() if chr(code).isprintable())
