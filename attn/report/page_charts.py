"""Charts of a reproduction or an evaluation, drawn by matplotlib within `attn.report.page_svg.style`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from attn.report.figure_names import printable, shortened
from attn.report.page_svg import FAINT, INK, LINES, fitting

WIDTH_IN = 5.8  # two side by side on a wide page
NAME_CHARACTERS = 26
METHOD_COLOURS = {
    name: LINES[i] for i, name in enumerate(("cnn", "unatt", "energynet", "svm", "cnn_average", "cnn_softmax"))
}
LETTER = 0.62
"""Approximate width of a letter, as a share of the size of the font."""
LEGEND_PT, MARKER_IN = 9, 0.4
"""Size of a legend's text, and the room for a marker and the gaps beside it."""
MOST_NUMBERED = 12
"""Classes up to which a confusion matrix shows its numbers."""


def named(name: str) -> str:
    """Name of a class or video as a label: drawable characters only, and shortened."""
    return shortened(printable(name), NAME_CHARACTERS)


def method_style(scores: str, place: int = -1) -> dict[str, Any]:
    """Colour and line of a method by the name of its scores: dashes if calibrated or on an adapted CNN.

    Args:
        scores: name of the scores.
        place: place of the colour of a method without one of its own.
    """
    plain = scores.removesuffix("_calibrated").removeprefix("adapted_")
    return {
        "color": METHOD_COLOURS.get(plain, LINES[place % len(LINES)]),
        "linestyle": "-" if plain == scores else "--",
    }


def share_chart(
    records: Sequence[Mapping[str, Any]], places: Mapping[str, str], names: Mapping[str, str], figure: str, label: str
) -> Figure:
    """Draw a figure of each method, with its interval, over the videos that the training saw.

    Args:
        records: records of the methods of one CNN, from `tables.json`.
        places: label of each `trained_on`, in the order of the axis.
        names: name of each method by the name of its scores, in the order of the legend.
        figure: key of the figure in the records.
        label: label of the vertical axis.
    """
    drawn = Figure(figsize=(WIDTH_IN, 3.9), layout="constrained")
    axes = drawn.subplots()
    order = list(places)
    for number, (scores, name) in enumerate(names.items()):
        found = {one["trained_on"]: one[figure] for one in records if one["scores"] == scores}
        own = [one for one in order if one in found]
        y = np.array([100 * found[one]["value"] for one in own])
        low, high = 100 * np.array([found[one]["interval"] for one in own]).T
        beside = 0.06 * (number - (len(names) - 1) / 2)  # so that intervals do not cover each other
        x = [order.index(one) + beside for one in own]
        look = method_style(scores)
        axes.errorbar(x, y, yerr=(y - low, high - y), label=name, marker="o", ms=4, lw=1.6, elinewidth=0.9, **look)
    axes.set_xticks(range(len(order)), list(places.values()))
    axes.set_xlabel("training videos")
    axes.set_ylabel(label)
    axes.grid(visible=False, axis="x")
    _legend(drawn, "outside lower center", list(names.values()))
    return drawn


def gain_chart(names: Sequence[str], gains: Float[np.ndarray, "cls"], limits: tuple[float, float]) -> Figure:
    """Draw horizontal bars of the gain of each class, in the order of the names from the top.

    Args:
        names: names of the classes.
        gains: gain of each class, as a share of its videos.
        limits: smallest and largest gain of all charts that are shown together.
    """
    drawn = Figure(figsize=(WIDTH_IN, fitting(len(names), 0.2)), layout="constrained")
    axes = drawn.subplots()
    points = 100 * gains[::-1]
    axes.barh(range(len(names)), points, height=0.7, color=[LINES[2] if one >= 0 else LINES[6] for one in points])
    axes.axvline(0, color=INK, lw=0.8)
    _name_rows(axes, names[::-1])
    low, high = 100 * min(limits[0], 0), 100 * max(limits[1], 0)
    if low == high:  # no class gains or loses
        low, high = -1.0, 1.0
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("gain in top-1 accuracy, points")
    return drawn


def precision_chart(
    names: Sequence[str], by_method: Mapping[str, Float[np.ndarray, "cls"]], labels: Sequence[str]
) -> Figure:
    """Draw the average precision of each class by each method as dots on a row, best class at the top.

    Args:
        names: names of the classes.
        by_method: average precision of the classes by the name of the method's scores; NaN for a class without videos.
        labels: names of the methods.
    """
    table = np.array(list(by_method.values()))
    known = np.flatnonzero(np.isfinite(table).all(axis=0))
    order: list[int] = known[np.argsort(table[:, known].max(axis=0), kind="stable")].tolist()
    drawn = Figure(figsize=(WIDTH_IN, fitting(len(order), 0.2, 1.6) + 0.3), layout="constrained")
    axes = drawn.subplots()
    rows = np.arange(len(order))
    low, high = 100 * table[:, order].min(axis=0), 100 * table[:, order].max(axis=0)
    axes.hlines(rows, low, high, color=FAINT, lw=1.2, zorder=1)
    for place, ((scores, values), label) in enumerate(zip(by_method.items(), labels, strict=True)):
        look = method_style(scores, place)
        face = look["color"] if look["linestyle"] == "-" else "none"
        axes.scatter(100 * values[order], rows, s=22, facecolor=face, edgecolor=look["color"], label=label, zorder=2)
    _name_rows(axes, [names[one] for one in order])
    axes.set_xlim(-2, 102)
    axes.set_xlabel("average precision, %")
    _legend(drawn, "outside upper center", labels)
    return drawn


def confusion_chart(names: Sequence[str], counts: Int[np.ndarray, "cls cls"]) -> Figure:
    """Draw the share of each true class's videos (rows) that were given each class (columns).

    The strength of one colour shows the share, so that the chart reads on light and on dark.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [named(name) for name in names]
    side = max(2.6, min(0.36, 9 / len(names)) * len(names))
    size = max(3.5, min(9, 0.72 * 72 * side / len(names)))
    # Matplotlib's own layout takes seconds for hundreds of rotated labels.
    margin = 0.45 + max(map(len, labels)) * LETTER * size / 72
    width, height = side + margin + 0.1, side + margin + 0.1
    drawn = Figure(figsize=(width, height))
    axes = drawn.add_axes((margin / width, margin / height, side / width, side / height))
    colour = to_rgba("#4a86d8")
    axes.imshow(share, cmap=LinearSegmentedColormap.from_list("", [(*colour[:3], 0.0), colour]), vmin=0, vmax=1)
    if len(names) <= MOST_NUMBERED:
        for row, col in np.argwhere(counts):
            axes.text(col, row, f"{100 * share[row, col]:.0f}", ha="center", va="center", fontsize=min(size, 8))
    axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), labels, fontsize=size)
    axes.tick_params(bottom=False, left=False)
    axes.grid(visible=False)
    drawn.text((margin + side / 2) / width, 0.08 / height, "predicted", ha="center", va="bottom")
    drawn.text(0.08 / width, (margin + side / 2) / height, "true", va="center", rotation=90)
    return drawn


def _legend(
    drawn: Figure, place: Literal["outside upper center", "outside lower center"], names: Sequence[str]
) -> None:
    """Name the methods outside the axes, in as many columns as fit beside each other."""
    column_in = max(map(len, names), default=0) * LETTER * LEGEND_PT / 72 + MARKER_IN
    drawn.legend(loc=place, ncols=max(1, min(4, int(WIDTH_IN / column_in))), fontsize=LEGEND_PT)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Label one row per name, and leave out the empty space above and below."""
    axes.set_yticks(range(len(names)), [named(name) for name in names], fontsize=8)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", left=False)
    axes.grid(visible=False, axis="y")
