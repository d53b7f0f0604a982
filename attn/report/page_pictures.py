"""Pictures of frames with attention maps for a page, and the same frames as one chart for a paper."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image

from attn.report.overlay import COLOURS, OPACITY, enlarge
from attn.report.page_blocks import Chart, Example, Examples, Picture
from attn.report.page_charts import named
from attn.report.page_svg import style

SIDE_PX = 224
JPEG_QUALITY = 80
PANEL_IN = 1.5


class Mistake(NamedTuple):
    """Frame that the classifier gets wrong and attention right.

    Attributes:
        video_id: ID of the video.
        time_s: time of the frame, in seconds.
        said, true: names of the class of the largest logit, and of the true class.
        said_map, true_map: raw maps of these classes.
        said_energy, true_energy: window energies of these maps.
        image: pixels of the square that the maps cover, mostly the central one; None if the video cannot be read.
    """

    video_id: str
    time_s: float
    said: str
    true: str
    said_map: Float[np.ndarray, "row col"]
    true_map: Float[np.ndarray, "row col"]
    said_energy: float
    true_energy: float
    image: UInt8[np.ndarray, "side side 3"] | None = None


def show_mistakes(mistakes: Sequence[Mistake], name: str, title: str) -> Examples:
    """Return pictures of each frame and of both maps on it; the maps of a frame share one colour scale.

    Args:
        mistakes: frames to show, at least one.
        name: name of the chart's file.
        title: title of the chart.
    """
    shown = [(one, _pictures(one)) for one in mistakes]
    examples = [
        Example(f"{one.true}: {one.video_id}, {one.time_s:.2f} s", [Picture(*each) for each in pictures])
        for one, pictures in shown
    ]
    return Examples(examples, Chart(name, title, _chart(shown)))


def on_frame(attention: Float[np.ndarray, "row col"], largest: float, image: np.ndarray | None) -> np.ndarray:
    """Lay a map over a frame, more opaque where attention is stronger; without a frame, return the colours alone."""
    level = np.clip(enlarge(attention, SIDE_PX) / (largest or 1), 0, 1)
    colours = 255 * matplotlib.colormaps[COLOURS](level)[..., :3]
    alpha = 1 if image is None else OPACITY * level[..., None]
    return np.round(alpha * colours + (1 - alpha) * (0 if image is None else image)).astype(np.uint8)


def _pictures(one: Mistake) -> list[tuple[bytes, str]]:
    largest = float(max(one.said_map.max(), one.true_map.max()))
    maps = [
        (on_frame(one.said_map, largest, one.image), f"{one.said}, as the CNN says: attention {one.said_energy:.3g}"),
        (on_frame(one.true_map, largest, one.image), f"{one.true}, the true class: attention {one.true_energy:.3g}"),
    ]
    frame = [] if one.image is None else [(one.image, "frame")]
    return [(jpeg(pixels), caption) for pixels, caption in [*frame, *maps]]


def jpeg(pixels: UInt8[np.ndarray, "row col 3"]) -> bytes:
    """Return a picture as a JPEG file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=JPEG_QUALITY)
    return data.getvalue()


def _chart(shown: Sequence[tuple[Mistake, list[tuple[bytes, str]]]]) -> Figure:
    """Draw one row of panels per frame."""
    columns = max(len(pictures) for _, pictures in shown)
    with style():
        figure = Figure(figsize=(columns * PANEL_IN + 0.4, len(shown) * (PANEL_IN + 0.3)), layout="constrained")
        grid = figure.subplots(len(shown), columns, squeeze=False)
        for panels, (one, pictures) in zip(grid, shown, strict=True):
            titles = [named(one.video_id), named(one.said), named(one.true)][-len(pictures) :]
            for panel in panels:
                panel.set_axis_off()
            for panel, title, (data, _) in zip(panels, titles, pictures, strict=False):
                panel.imshow(Image.open(io.BytesIO(data)))
                panel.set_title(title, fontsize=7)
    return figure
