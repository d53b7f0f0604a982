"""Figures of attention maps: frames of a video overlaid with the attention of a class, as one PNG.

Maps are not normalised. They are upsampled bilinearly for display, and all frames of a strip share one colour scale
from 0 to the strip's largest attention, which is labelled. Frames with little attention therefore appear pale.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from attn.report.figure_names import FONT, file_name, printable, shortened

PANEL_IN = 1.5
TITLE_IN = 0.36
SCALE_IN = 0.8
GAP_IN = 0.06
CHARACTER_IN = 0.075  # approximate width of a character of the title
OVERLAY_PX = 320
DPI = 200
OPACITY = 0.85
COLOURS = "inferno"
BOX_COLOUR = "#40e0d0"


@dataclasses.dataclass(frozen=True)
class Strip:
    """Frames of one video with the maps of one class.

    Attributes:
        video_id: ID of the video.
        class_name: name of the class.
        frames: decoded frames; only the central square, the CNN's input, is shown.
        maps: raw maps of that square, one per frame.
        time_s: time of each frame, in seconds.
        boxes: bounding boxes of the action, if known: left, top, right, bottom in source pixels.
    """

    video_id: str
    class_name: str
    frames: UInt8[np.ndarray, "frame row col 3"]
    maps: Float[np.ndarray, "frame map_row map_col"]
    time_s: Float[np.ndarray, "frame"]
    boxes: Float[np.ndarray, "frame 4"] | None = None


def save_strip(strip: Strip, folder: Path) -> Path:
    """Draw a strip and save it in a folder, which is created if needed.

    Returns:
        Path of the PNG, named after video and class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(strip.video_id, strip.class_name)
    path.write_bytes(draw_strip(strip))
    return path


def draw_strip(strip: Strip) -> bytes:
    """Draw a strip as a PNG: frames side by side with their times, and the colour scale on the right.

    Raises:
        ValueError: there are 0 frames, or the numbers of frames, maps, times and boxes differ.
    """
    count = len(strip.frames)
    counts = {count, len(strip.maps), len(strip.time_s), count if strip.boxes is None else len(strip.boxes)}
    if counts != {count} or not count:
        raise ValueError(f"numbers of frames, maps, times and boxes must be equal and at least 1: {sorted(counts)}")
    # pyplot is not used, because it stores all figures in a global list and needs a display.
    figure = Figure(figsize=(count * PANEL_IN + SCALE_IN, PANEL_IN + TITLE_IN), dpi=DPI)
    panels = _panels(figure, count)
    largest = float(strip.maps.max())
    scale = ScalarMappable(Normalize(0, largest or 1), COLOURS)
    for i, panel in enumerate(panels):
        _draw_panel(panel, strip, i, scale)
    _draw_title(figure, strip)
    _draw_scale(figure, scale, largest)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def enlarge(attention: Float[np.ndarray, "row col"], size: int) -> Float[np.ndarray, "size size"]:
    """Upsample a map bilinearly to size × size pixels for display, with each cell's value at its centre."""
    image = Image.fromarray(np.ascontiguousarray(attention, np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Square axes side by side, with space for the title above and the scale on the right."""
    width, height = figure.get_size_inches()
    size = PANEL_IN - GAP_IN
    lefts = (GAP_IN + i * PANEL_IN for i in range(count))
    return [figure.add_axes((left / width, GAP_IN / height, size / width, size / height)) for left in lefts]


def _draw_panel(panel: Axes, strip: Strip, i: int, scale: ScalarMappable) -> None:
    """Draw one frame in source pixels, cropped to the central square that its map covers."""
    rows, cols = strip.frames.shape[1:3]
    side = min(rows, cols)
    left, top = (cols - side) / 2, (rows - side) / 2
    attention = enlarge(strip.maps[i], OVERLAY_PX)
    overlay = np.array(scale.to_rgba(attention))
    overlay[..., 3] = OPACITY * np.asarray(scale.norm(attention))  # transparent for attention 0
    panel.imshow(strip.frames[i], extent=(0, cols, rows, 0), interpolation="lanczos")
    panel.imshow(overlay, extent=(left, left + side, top + side, top))
    if strip.boxes is not None:
        x, y, right, bottom = (float(edge) for edge in strip.boxes[i])
        panel.add_patch(Rectangle((x, y), right - x, bottom - y, fill=False, edgecolor=BOX_COLOUR, linewidth=1))
    panel.set(xlim=(left, left + side), ylim=(top + side, top), xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    panel.set_title(f"{strip.time_s[i]:.2f} s", fontsize=7, pad=2, fontfamily=FONT)


def _draw_title(figure: Figure, strip: Strip) -> None:
    width, height = figure.get_size_inches()
    room = int(width / CHARACTER_IN)
    title = shortened(printable(f"{strip.video_id}  ·  {strip.class_name}"), room)
    place = (GAP_IN / width, 1 - GAP_IN / height)
    # Names may contain $, which must not start a formula.
    figure.text(*place, title, fontsize=8, va="top", fontfamily=FONT, parse_math=False)


def _draw_scale(figure: Figure, scale: ScalarMappable, largest: float) -> None:
    width, height = figure.get_size_inches()
    size = PANEL_IN - GAP_IN
    place = ((width - SCALE_IN + GAP_IN) / width, GAP_IN / height, 0.08 / width, size / height)
    bar = figure.colorbar(scale, cax=figure.add_axes(place))
    ticks = {0.0: "0", largest: f"{largest:.3g}"}  # a single tick if all maps are zero
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.tick_params(labelsize=7, length=2, pad=2, labelfontfamily=FONT)
    bar.ax.text(
        1.6, 0.5, "attention", rotation=90, va="center", fontsize=7, fontfamily=FONT, transform=bar.ax.transAxes
    )
    bar.outline.set_visible(False)
