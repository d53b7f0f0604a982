"""Heat maps over pictures, with Pillow: attention as colour whose opacity grows with it."""

import dataclasses
import functools
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from PIL import Image

from attn.report.overlay import COLOURS
from attn.video.transform import BILINEAR, Resampling

OPACITY, POWER = 0.75, 1.5
"""Opacity of the largest attention, and the power of attention with which it grows.

A picture must stay visible, also under weak attention everywhere."""
SMALL_SIDE_PX = 56
"""Shorter side of maps of whole frames."""
UNSEEN = 0.6
"""Brightness of the parts that the CNN does not see."""


@dataclasses.dataclass(frozen=True)
class Palette:
    """Colours of one class.

    Attributes:
        colours: red, green, blue of 256 levels, one after another.
        text: colour of its name.
    """

    colours: tuple[int, ...]
    text: tuple[int, int, int]


@functools.cache
def palettes() -> tuple[Palette, Palette, Palette]:
    """Palettes of the first class that is drawn, of the second one, and of classes that are not drawn."""
    warm = matplotlib.colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    cold, grey = (np.linspace((0, 0, 0), end, 256) for end in ((90, 230, 255), (255, 255, 255)))
    return (_palette(warm, (255, 190, 70)), _palette(cold, (90, 230, 255)), _palette(grey, (225, 225, 225)))


def with_heat(
    picture: Image.Image, maps: Sequence[Float[np.ndarray, "row col"]], resampling: Resampling = BILINEAR
) -> Image.Image:
    """Picture with one or two maps over the part that the CNN sees, its central square; the rest is darker.

    Args:
        picture: RGB picture.
        maps: maps between 0 and 1, each in its own colours; upsampled bilinearly, with the value of each cell at its
            centre. A place without attention keeps the picture.
        resampling: says which part the CNN sees.
    """
    seen = seen_part(picture.size, resampling)
    heated = picture.crop(seen)
    for attention, palette in zip(maps, palettes(), strict=False):
        levels = Image.fromarray(as_levels(attention)).resize(heated.size, Image.Resampling.BILINEAR)
        opacity = levels.point([round(255 * OPACITY * (level / 255) ** POWER) for level in range(256)])
        heated.paste(coloured(levels, palette), mask=opacity)
    if heated.size == picture.size:
        return heated
    whole = picture.point([round(UNSEEN * level) for level in range(256)] * 3)
    whole.paste(heated, seen)
    return whole


def seen_part(size: tuple[int, int], resampling: Resampling) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that the CNN sees, in whole pixels."""
    left, top, right, bottom = resampling.box(*size)
    width, height = max(1, round(right - left)), max(1, round(bottom - top))
    return int(left), int(top), int(left) + width, int(top) + height


def over_frame(
    attention: Float[np.ndarray, "row col"], size: tuple[int, int], resampling: Resampling = BILINEAR
) -> Float[np.ndarray, "height width"]:
    """Map of a whole frame at a small scale: zero outside the part that the CNN sees, bilinear inside.

    Args:
        attention: map of that part.
        size: width and height of the frame in pixels.
        resampling: says which part the CNN sees.
    """
    shrink = SMALL_SIDE_PX / min(size)
    small = (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))
    left, top, right, bottom = seen_part(small, resampling)
    seen = Image.fromarray(np.ascontiguousarray(attention, np.float32))
    whole = np.zeros(small[::-1], np.float32)
    whole[top:bottom, left:right] = np.asarray(seen.resize((right - left, bottom - top), Image.Resampling.BILINEAR))
    return whole


def coloured(levels: Image.Image, palette: Palette) -> Image.Image:
    """RGB picture of 8-bit levels."""
    indexed = levels.copy()
    indexed.putpalette(palette.colours)
    return indexed.convert("RGB")


def as_levels(values: Float[np.ndarray, "row col"]) -> np.ndarray:
    """8-bit levels [row, col] of values between 0 and 1."""
    return (255 * np.clip(values, 0, 1)).round().astype(np.uint8)


def _palette(colours: np.ndarray, text: Sequence[int]) -> Palette:
    red, green, blue = text
    return Palette(tuple(np.asarray(colours).round().astype(int).ravel().tolist()), (red, green, blue))
