"""Time line of a video: the energy of each class as a row of colour, with a cursor."""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from attn.report.class_track import ClassTrack, VideoTracks
from attn.report.figure_names import fitted, font
from attn.report.heat import Palette, as_levels, coloured, palettes

NAME_SHARE = 0.4
"""Largest share of the width for the names."""
LEAST_NAME_PX = 28
GAP_PX = 4
CURSOR, EDGE = (255, 255, 255, 255), (0, 0, 0, 255)


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Rows of a number of classes in a rectangle of a picture.

    All rows share one scale, from 0 to the largest energy.

    Attributes:
        video: classes and their energies.
        left, top, width: place in the picture, in pixels.
        rows: number of classes that are drawn, the first ones.
        text_px: size of the names; a row is a little higher.
    """

    video: VideoTracks
    left: int
    top: int
    width: int
    rows: int
    text_px: int

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.rows * row_px(self.text_px)

    @property
    def largest(self) -> float:
        """Largest energy of any class: the end of the scale."""
        return max(float(one.energies.max()) for one in self._classes)

    def draw(self, picture: Image.Image) -> None:
        """Draw names and rows, which do not change with time."""
        pen, height = ImageDraw.Draw(picture), row_px(self.text_px)
        for row, (one, palette) in enumerate(zip(self._classes, self._palettes(), strict=True)):
            top, place = self.top + row * height, self._strip_left
            name = fitted(one.name, self.text_px, place - self.left - GAP_PX)
            pen.text((self.left, top + height / 2), name, palette.text, font(self.text_px), anchor="lm")
            levels = as_levels(over_pixels(self.video, one, self._strip_width)[None] / (self.largest or 1.0))
            strip = Image.fromarray(levels).resize((self._strip_width, height - 1))
            picture.paste(coloured(strip, palette), (place, top))

    def draw_cursor(self, picture: Image.Image, time_s: float) -> None:
        """Draw a line across the rows at a time, or nothing if only one frame was sampled."""
        start_s, end_s = float(self.video.time_s[0]), self.video.end_s
        if end_s <= start_s:
            return
        share = min(max((time_s - start_s) / (end_s - start_s), 0.0), 1.0)
        x, bottom = self._strip_left + round(share * (self._strip_width - 1)), self.top + self.height - 2
        pen = ImageDraw.Draw(picture)
        pen.line((x - 1, self.top, x - 1, bottom), EDGE)
        pen.line((x + 1, self.top, x + 1, bottom), EDGE)
        pen.line((x, self.top, x, bottom), CURSOR)

    @property
    def _classes(self) -> tuple[ClassTrack, ...]:
        return self.video.classes[: self.rows]

    def _palettes(self) -> list[Palette]:
        """Palettes of the classes: those of the drawn ones, and grey for the others."""
        first, second, other = palettes()
        coloured_ones = iter((first, second))
        drawn = {one.name for one in self.video.drawn}
        return [next(coloured_ones) if one.name in drawn else other for one in self._classes]

    @functools.cached_property
    def _strip_left(self) -> int:
        """Left edge of the rows; names that would have less than a few characters are left out."""
        room = int(self.width * NAME_SHARE)
        if room < LEAST_NAME_PX:
            return self.left
        needed = max(font(self.text_px).getlength(fitted(one.name, self.text_px, room)) for one in self._classes)
        return self.left + min(math.ceil(needed), room) + GAP_PX

    @property
    def _strip_width(self) -> int:
        return max(1, self.width - (self._strip_left - self.left))


def row_px(text_px: int) -> int:
    """Height of a row with text of this size, in pixels."""
    return text_px + 3


def over_pixels(video: VideoTracks, one: ClassTrack, width: int) -> Float[np.ndarray, " pixel"]:
    """Energy of a class at each pixel of the time line.

    Energies are interpolated linearly; if several frames fall on a pixel, the largest energy is shown.
    """
    start_s, times = float(video.time_s[0]), video.time_s.astype(np.float64)
    span_s = max(video.end_s - start_s, 1e-9)
    centres = start_s + (np.arange(width) + 0.5) / width * span_s
    energies = np.interp(centres, times, one.energies)
    pixels = np.minimum((times - start_s) / span_s * width, width - 1).astype(int)
    np.maximum.at(energies, pixels, one.energies)
    return energies
