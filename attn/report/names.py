"""Names of videos and classes as they come, made fit for a picture and for a file system."""

import functools
import hashlib
from urllib.parse import quote

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # comes with matplotlib
NAME_BYTES = 110  # two names and the ending fit the 255 bytes of a file name


def file_name(video_id: str, class_name: str) -> str:
    """Name of a PNG, safe on every file system: other characters than letters, digits, spaces and `_.-~` become %XX.

    A name too long for a file system is cut and ends in its hash, so that no two become one.
    """
    names = (quote(name, safe=" ", errors="surrogatepass") for name in (video_id, class_name))
    return ".".join([*(_cut(name) for name in names), "png"])


def printable(text: str) -> str:
    """The text with what the font cannot draw replaced by �, so that no name can spoil a picture."""
    return "".join(c if ord(c) in _drawable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, room: int) -> str:
    """The text in at most `room` characters (3 at least), without its middle if it is too long."""
    half = max((room - 1) // 2, 1)
    return text if len(text) <= room else f"{text[:half]}…{text[-half:]}"


def _cut(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name if len(name) <= NAME_BYTES else f"{name[: NAME_BYTES - 13]}-{digest}"


@functools.cache
def _drawable() -> frozenset[int]:
    font = FT2Font(findfont(FONT))
    return frozenset(code for code in font.get_charmap() if chr(code).isprintable())
