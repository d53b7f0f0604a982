"""Frames of a video with heat map, class, score and time line, at the size of the video."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageOps

from attn.report.class_track import VideoTracks
from attn.report.figure_names import fitted, font
from attn.report.heat import palettes, with_heat
from attn.report.timeline import Timeline, row_px

LONGEST_SIDE_PX = 4096
"""Larger pictures are scaled down: browsers and graphics chips decode no larger H.264."""
BAND_SHARE = 0.28
"""Largest share of the height for the time line."""
TITLES_WIDTH_PX = 240
"""Width from which the second class is named beside the first one."""
LEAST_TEXT_PX = 8
LEAST_TEXT_SIDE_PX = 48
"""Shorter side from which text is drawn."""
SHORT_NAME = 8
"""Characters of a name in the title; if fewer fit beside the score, the score is left out."""
BAND = (0, 0, 0, 150)


class OverlayPainter:
    """Painter of the frames of one video.

    Everything that does not change with time is drawn once: the names and the rows of the time line.

    Args:
        video: attention of the classes.
        width: width of the frames in pixels, as they are decoded.
        height: height of the frames in pixels.

    Attributes:
        size: width and height of the painted frames: even, and scaled down if above 4096 pixels.
    """

    def __init__(self, video: VideoTracks, width: int, height: int):
        self._video = video
        shrink = min(1.0, LONGEST_SIDE_PX / max(width, height))
        self._inner = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        self.size = (_even(self._inner[0]), _even(self._inner[1]))
        self._timeline = _timeline(video, *self._inner)
        layer = _layer(video, self._inner, self._timeline)
        self._layer, self._opacity = layer.convert("RGB"), layer.getchannel("A")

    def paint(self, rgb: UInt8[np.ndarray, "row col 3"], time_s: float) -> UInt8[np.ndarray, "row2 col2 3"]:
        """Paint a frame; one of another size than the first is fitted into its size.

        Args:
            rgb: decoded frame.
            time_s: its time in seconds.
        """
        picture = Image.fromarray(rgb)
        picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
        picture = with_heat(picture, self._video.maps_at(time_s), self._video.resampling)
        if picture.size != self._inner:
            picture = ImageOps.pad(picture, self._inner)
        picture.paste(self._layer, mask=self._opacity)
        if self._timeline is not None:
            self._timeline.draw_cursor(picture, time_s)
        across, down = self.size[0] - self._inner[0], self.size[1] - self._inner[1]
        return np.pad(np.asarray(picture), ((0, down), (0, across), (0, 0)), mode="edge")


def _timeline(video: VideoTracks, width: int, height: int) -> Timeline | None:
    """Time line at the lower edge, with as many classes as fit; None if not even one does."""
    text_px = max(LEAST_TEXT_PX, _text_px(width, height, share=0.025, least=4))
    rows = min(len(video.classes), int(BAND_SHARE * height / row_px(text_px)))
    if not rows or min(width, height) < LEAST_TEXT_SIDE_PX:
        return None
    margin = text_px // 3
    return Timeline(video, margin, height - rows * row_px(text_px), width - 2 * margin, rows, text_px)


def _layer(video: VideoTracks, size: tuple[int, int], timeline: Timeline | None) -> Image.Image:
    """RGBA picture of everything that does not change with time."""
    width, height = size
    layer = Image.new("RGBA", size)
    if timeline is not None:
        layer.paste(BAND, (0, timeline.top - 2, width, height))
        timeline.draw(layer)
        _draw_title(layer, video)
    return layer


def _draw_title(layer: Image.Image, video: VideoTracks) -> None:
    """Name and score of each drawn class in its colour, in the upper left corner."""
    text_px = _text_px(*layer.size, share=0.03, least=7)
    pen, left, gap = ImageDraw.Draw(layer), text_px // 2, text_px
    shown = video.drawn if layer.width >= TITLES_WIDTH_PX else video.drawn[:1]
    room = (layer.width - gap * len(shown)) / len(shown)
    for one, palette in zip(shown, palettes(), strict=False):
        score = f" {one.score:.3g}"
        beside = room - font(text_px).getlength(score)
        if beside < font(text_px).getlength("n" * min(SHORT_NAME, len(one.name))):
            score, beside = "", room
        text = fitted(one.name, text_px, beside) + score
        wide = round(font(text_px).getlength(text))
        layer.paste(BAND, (left - gap // 2, 0, left + wide + gap // 2, text_px + 6))
        pen.text((left, (text_px + 6) / 2), text, palette.text, font(text_px), anchor="lm")
        left += wide + gap


def _text_px(width: int, height: int, *, share: float, least: int) -> int:
    """Size of text that is readable in small pictures and not too large in large ones."""
    return round(least + share * min(width, height))


def _even(length: int) -> int:
    return length + length % 2
