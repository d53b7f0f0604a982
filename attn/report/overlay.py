"""Where a class finds its evidence: frames of a video with the class's attention laid over them, as one PNG.

The maps stay raw. They are enlarged bilinearly for the eye only, and all frames of a strip share one colour scale
from 0 to the strip's largest attention, which is stated: a pale frame is one that says little.
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

from attn.report.names import FONT, file_name, printable, shortened

PANEL_IN = 1.5
TITLE_IN = 0.36
SCALE_IN = 0.8
GAP_IN = 0.06
CHARACTER_IN = 0.075  # width of a character of the title, about
OVERLAY_PX = 320
DPI = 200
OPACITY = 0.85
COLOURS = "inferno"
BOX_COLOUR = "#40e0d0"


@dataclasses.dataclass(frozen=True)
class Strip:
    """Some frames of one video and the maps of one class.

    Attributes:
        video_id: whose frames.
        class_name: whose maps.
        frames: as decoded; only the centred square is shown, which is what the CNN saw.
        maps: raw, one per frame, covering that square.
        time_s: of each frame.
        boxes: where the action is, if known: left, top, right, bottom in source pixels.
    """

    video_id: str
    class_name: str
    frames: UInt8[np.ndarray, "frame row col 3"]
    maps: Float[np.ndarray, "frame map_row map_col"]
    time_s: Float[np.ndarray, "frame"]
    boxes: Float[np.ndarray, "frame 4"] | None = None


def save_strip(strip: Strip, folder: Path) -> Path:
    """Draws a strip into a folder, which is made; the path of the PNG, named after video and class."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(strip.video_id, strip.class_name)
    path.write_bytes(draw_strip(strip))
    return path


def draw_strip(strip: Strip) -> bytes:
    """PNG of a strip: the frames side by side, each under its time, and the colour scale at the right.

    Raises:
        ValueError: no frames, or not one map, time and box for each.
    """
    count = len(strip.frames)
    counts = {count, len(strip.maps), len(strip.time_s), count if strip.boxes is None else len(strip.boxes)}
    if counts != {count} or not count:
        raise ValueError(f"a strip needs as many maps, times and boxes as frames, and one at least: {sorted(counts)}")
    # No pyplot: it keeps every figure in a global list and asks for a display.
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
    """A map stretched bilinearly to size × size pixels, each cell's value at its centre. For the eye only."""
    image = Image.fromarray(np.ascontiguousarray(attention, np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Square axes side by side, leaving room for the title above and the scale at the right."""
    width, height = figure.get_size_inches()
    size = PANEL_IN - GAP_IN
    lefts = (GAP_IN + i * PANEL_IN for i in range(count))
    return [figure.add_axes((left / width, GAP_IN / height, size / width, size / height)) for left in lefts]


def _draw_panel(panel: Axes, strip: Strip, i: int, scale: ScalarMappable) -> None:
    """One frame in source pixels, cut to the centred square that its map covers."""
    rows, cols = strip.frames.shape[1:3]
    side = min(rows, cols)
    left, top = (cols - side) / 2, (rows - side) / 2
    attention = enlarge(strip.maps[i], OVERLAY_PX)
    overlay = np.array(scale.to_rgba(attention))
    overlay[..., 3] = OPACITY * np.asarray(scale.norm(attention))  # where nothing is attended the frame stays itself
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
    # Names are no formulas: a $ in one is a $.
    figure.text(*place, title, fontsize=8, va="top", fontfamily=FONT, parse_math=False)


def _draw_scale(figure: Figure, scale: ScalarMappable, largest: float) -> None:
    width, height = figure.get_size_inches()
    size = PANEL_IN - GAP_IN
    place = ((width - SCALE_IN + GAP_IN) / width, GAP_IN / height, 0.08 / width, size / height)
    bar = figure.colorbar(scale, cax=figure.add_axes(place))
    ticks = {0.0: "0", largest: f"{largest:.3g}"}  # one tick where all maps are zero
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.tick_params(labelsize=7, length=2, pad=2, labelfontfamily=FONT)
    bar.ax.text(
        1.6, 0.5, "attention", rotation=90, va="center", fontsize=7, fontfamily=FONT, transform=bar.ax.transAxes
    )
    bar.outline.set_visible(False)
