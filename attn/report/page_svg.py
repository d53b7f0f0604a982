"""Charts as SVG and PNG: one drawing serves a light page, a dark page and a paper.

Matplotlib draws with the colours of `COLOURS`. In a page, each becomes a CSS variable, which the page sets for light
and dark; in a file, they stay as they are.
"""

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from cycler import cycler
from markupsafe import Markup
from matplotlib.figure import Figure

from attn.report.figure_names import FONT

INK, FAINT, SURFACE = "#1c1c1f", "#9a9aa2", "#ffffff"
LINES = ("#3b6fb6", "#d9731a", "#2b8a57", "#a8438b", "#6b6f2a", "#7a5cc2", "#b03a3a", "#3a93a3")
COLOURS = {INK: "ink", FAINT: "faint", SURFACE: "surface"} | {colour: f"line-{i}" for i, colour in enumerate(LINES)}
"""CSS variable of each colour; `templates/page.css` defines them."""
STYLE: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=LINES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "font.family": [FONT],
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text as text: small, and found by the browser's search
    "text.color": INK,
    "text.parse_math": False,  # names of classes may contain $
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}
PNG_DPI = 200
POINT_PX = 4 / 3
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw inside the block with the colours and fonts of the page."""
    with matplotlib.rc_context(STYLE):
        yield


def as_svg(figure: Figure, name: str) -> str:
    """Return a chart as an SVG file. The name makes its internal IDs unique among charts of other names."""
    text = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=NO_METADATA)
    return text.getvalue()


def as_png(figure: Figure) -> bytes:
    """Return a chart as a PNG on white."""
    data = io.BytesIO()
    with style():
        figure.savefig(data, format="png", dpi=PNG_DPI, facecolor=SURFACE)
    return data.getvalue()


def inline(figure: Figure, name: str, title: str) -> Markup:
    """Return a chart as an SVG element for a page, with variables in place of colours and a spoken title."""
    text = as_svg(figure, name)
    _, _, body = text[text.index("<svg") :].partition(">")
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # numbered by matplotlib from 1 in every chart
    body = re.sub(r">\s+<", "><", re.sub(r"\s*\n\s*", " ", body))  # indentation is a quarter of the file
    for colour, variable in COLOURS.items():
        body = body.replace(colour, f"var(--{variable})")
    width, height = (72 * side for side in figure.get_size_inches())
    start = (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(title)}" '
        f'style="width: {POINT_PX * width:.0f}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Markup(start + body)  # noqa: S704  matplotlib escapes the text of a chart


def fitting(rows: int, inch: float, least: float = 1.0) -> float:
    """Height in inches of a chart with rows of the given height, and an axis below."""
    return max(least, 0.9 + inch * rows)
