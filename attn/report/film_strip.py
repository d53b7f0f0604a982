"""Film strip of a video, as an SVG for documents: sampled frames with their maps, and the time line."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from attn.report.class_track import ClassTrack, VideoTracks
from attn.report.figure_names import printable, shortened
from attn.report.heat import Palette, as_levels, coloured, palettes, with_heat
from attn.report.page import templates
from attn.report.timeline import over_pixels

WIDTH, MARGIN, GAP = 1000, 20, 10
HEAD, TIME, ROW, FOOT = 44, 26, 16, 40
NAMES, NAME_CHARACTERS = 92, 13
TILE_PX, STRIP_PX = 320, 400
JPEG_QUALITY = 85


def film_strip(video: VideoTracks, rows: Sequence[int], frames: UInt8[np.ndarray, "frame row col 3"]) -> str:
    """Return the SVG, which needs no other file.

    Args:
        video: attention of the classes, of which the first has maps.
        rows: places of the drawn frames among the sampled ones; at least one.
        frames: these frames at full size.
    """
    width = (WIDTH - 2 * MARGIN - (len(rows) - 1) * GAP) / len(rows)
    height = width * frames.shape[1] / frames.shape[2]
    times = [float(video.time_s[row]) for row in rows]
    tiles = [
        {"left": MARGIN + i * (width + GAP), "time": f"{time_s:.2f} s", "src": _tile(video, time_s, frame)}
        for i, (time_s, frame) in enumerate(zip(times, frames, strict=True))
    ]
    start_s, left = float(video.time_s[0]), MARGIN + NAMES
    span_s = max(video.end_s - start_s, 1e-9)
    energy = max(float(one.energies.max()) for one in video.classes)
    first, _, other = palettes()
    rows_of_classes = [
        (shortened(printable(one.name), NAME_CHARACTERS), _strip(video, one, energy, palette), _colour(palette))
        for one, palette in zip(video.classes, (first, *[other] * (len(video.classes) - 1)), strict=True)
    ]
    template = templates().get_template("film_strip.svg")
    return template.render(
        video=video,
        tiles=tiles,
        tile=(width, height),
        page=(WIDTH, MARGIN, HEAD, TIME, ROW, NAMES),
        bottom=HEAD + height + TIME + len(video.classes) * ROW + FOOT,
        rows=rows_of_classes,
        cursors=[left + (time_s - start_s) / span_s * (WIDTH - MARGIN - left) for time_s in times],
        ramp=_png(coloured(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), first)),
        energy=energy,
    )


def _tile(video: VideoTracks, time_s: float, frame: UInt8[np.ndarray, "row col 3"]) -> Markup:
    picture = Image.fromarray(frame)
    picture = picture.resize((TILE_PX, round(TILE_PX * picture.height / picture.width)), Image.Resampling.LANCZOS)
    return _source(with_heat(picture, video.maps_at(time_s), video.resampling), "jpeg", quality=JPEG_QUALITY)


def _strip(video: VideoTracks, one: ClassTrack, largest: float, palette: Palette) -> Markup:
    levels = as_levels(over_pixels(video, one, STRIP_PX)[None] / (largest or 1.0))
    return _png(coloured(Image.fromarray(levels), palette))


def _png(picture: Image.Image) -> Markup:
    return _source(picture, "png", optimize=True)


def _source(picture: Image.Image, kind: str, **how: object) -> Markup:
    """Picture as a URL."""
    data = io.BytesIO()
    picture.save(data, kind, **how)
    return Markup(f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}")  # noqa: S704  base64 only


def _colour(palette: Palette) -> str:
    return "#{:02x}{:02x}{:02x}".format(*palette.text)
