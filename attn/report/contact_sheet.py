"""Contact sheet of a video: a few sampled frames with their maps, and the time line, as one PNG."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from attn.report.class_track import VideoTracks
from attn.report.figure_names import fitted, font
from attn.report.heat import coloured, palettes, with_heat
from attn.report.timeline import Timeline

MOST_TILES = 8
PER_ROW = 4
TILE_PX = 320
MARGIN_PX, TEXT_PX, SMALL_PX = 16, 20, 14
HEAD_PX = 2 * (TEXT_PX + 8) + MARGIN_PX
SCORE_PX = 100  # room for a score beside its class
LEAST_WIDTH_PX = 3 * TILE_PX
SCALE_PX = (160, 12)
BACKGROUND, INK, PALE = (24, 24, 27), (245, 245, 245), (170, 170, 175)


class ContactSheet:
    """Sheet that takes its frames one by one while the video is decoded, and keeps only small pictures of them.

    Args:
        video: attention of the classes.
    """

    def __init__(self, video: VideoTracks):
        self._video = video
        count = min(MOST_TILES, len(video.frame))
        self._wanted = set(video.frame[np.linspace(0, len(video.frame) - 1, count).round().astype(int)].tolist())
        self._tiles: list[tuple[float, Image.Image]] = []

    def see(self, index: int, time_s: float, rgb: UInt8[np.ndarray, "row col 3"]) -> None:
        """Keep a frame if it is one of the evenly spaced sampled frames.

        Args:
            index: index of the frame in the video.
            time_s: its time in seconds.
            rgb: decoded frame.
        """
        if index not in self._wanted:
            return
        scale = TILE_PX / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        small = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)
        self._tiles.append((time_s, with_heat(small, self._video.maps_at(time_s), self._video.resampling)))

    def png(self) -> bytes:
        """Draw the sheet."""
        wide, high = np.max([tile.size for _, tile in self._tiles] or [(0, 0)], axis=0).tolist()
        columns = max(1, min(PER_ROW, len(self._tiles)))
        step = (wide + MARGIN_PX, high + SMALL_PX + 10)
        bottom = HEAD_PX + -(-len(self._tiles) // columns) * step[1] + MARGIN_PX
        width = max(LEAST_WIDTH_PX, columns * step[0] + MARGIN_PX)
        timeline = Timeline(
            self._video, MARGIN_PX, bottom, width - 2 * MARGIN_PX, len(self._video.classes), text_px=SMALL_PX
        )
        sheet = Image.new("RGB", (width, bottom + timeline.height + SMALL_PX + 2 * MARGIN_PX), BACKGROUND)
        _draw_head(sheet, self._video)
        timeline.draw(sheet)
        for place, (time_s, tile) in enumerate(self._tiles):
            line, column = divmod(place, columns)
            left, top = MARGIN_PX + column * step[0], HEAD_PX + line * step[1]
            sheet.paste(tile, (left, top))
            ImageDraw.Draw(sheet).text((left, top + tile.height + 3), f"{time_s:.2f} s", PALE, font(SMALL_PX))
            timeline.draw_cursor(sheet, time_s)
        _draw_foot(sheet, self._video, timeline)
        file = io.BytesIO()
        sheet.save(file, "PNG")
        return file.getvalue()


def _draw_head(sheet: Image.Image, video: VideoTracks) -> None:
    """ID of the video, and below it name and score of each drawn class in its colour."""
    pen, left, top = ImageDraw.Draw(sheet), MARGIN_PX, MARGIN_PX // 2
    pen.text((left, top), fitted(video.video_id, TEXT_PX, sheet.width - 2 * MARGIN_PX), INK, font(TEXT_PX))
    room = (sheet.width - MARGIN_PX) / len(video.drawn) - MARGIN_PX
    for one, palette in zip(video.drawn, palettes(), strict=False):
        text = fitted(one.name, TEXT_PX, room - SCORE_PX) + f"  {one.score:.4g}"
        pen.text((left, top + TEXT_PX + 8), text, palette.text, font(TEXT_PX))
        left += round(font(TEXT_PX).getlength(text)) + 2 * MARGIN_PX


def _draw_foot(sheet: Image.Image, video: VideoTracks, timeline: Timeline) -> None:
    """Colour scales of the maps, if there are any, and the scale of the time line."""
    pen, left, top = ImageDraw.Draw(sheet), MARGIN_PX, timeline.top + timeline.height + MARGIN_PX // 2
    rows = f"rows: {video.energies_are}, 0 to {timeline.largest:.3g}"
    pen.text((sheet.width - MARGIN_PX, top), rows, PALE, font(SMALL_PX), anchor="ra")
    if video.largest is None:
        return
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).resize(SCALE_PX)
    pen.text((left, top), "attention  0", PALE, font(SMALL_PX))
    left += round(font(SMALL_PX).getlength("attention  0")) + 6
    for _, palette in zip(video.drawn, palettes(), strict=False):
        sheet.paste(coloured(ramp, palette), (left, top + 3))
        left += SCALE_PX[0] + 6
    pen.text((left, top), f"{video.largest:.3g}", PALE, font(SMALL_PX))
