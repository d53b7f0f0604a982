"""Curves of trainings: losses, shares and the mining switch of one or more trainings of the same kind."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attn.report.page_charts import WIDTH_IN
from attn.report.page_svg import FAINT, LINES

Row = Mapping[str, Any]
PANELS = {
    "loss": re.compile(r"loss|ranking|triplet|monitor|shortfall"),
    "%": re.compile(r"accuracy|active"),
}
"""Columns of `metrics.jsonl` in each panel. A column belongs to the last panel whose pattern it contains."""
CANDIDATES = "candidates"
UNITS = ("epoch", "update")


def curve_chart(trainings: Sequence[Sequence[Row]]) -> Figure:
    """Draw the columns of all trainings, one colour per column; a dotted line marks a switch of the mining.

    Args:
        trainings: rows of `metrics.jsonl` of each training; trainings of one kind, with the same columns.
    """
    columns = {panel: found for panel in PANELS if (found := _columns(trainings, panel))}
    drawn = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
    for axes, (panel, names) in zip(drawn.subplots(1, len(columns), squeeze=False)[0], columns.items(), strict=True):
        for colour, name in zip(LINES, names, strict=False):
            _draw_column(axes, trainings, name, colour, 100 if panel == "%" else 1)
        for at in filter(None, map(switched_at, trainings)):
            axes.axvline(at, color=FAINT, lw=0.8, ls=":")
        axes.set_xlabel(_unit(trainings))
        axes.set_title(panel)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8)
    return drawn


def switched_at(rows: Sequence[Row]) -> int | None:
    """Return the first validation after the mining switched to more candidates; None if it has not."""
    first = next((row[CANDIDATES] for row in rows if row.get(CANDIDATES)), None)
    return next((row["update"] for row in rows if first is not None and row[CANDIDATES] > first), None)


def _columns(trainings: Sequence[Sequence[Row]], panel: str) -> list[str]:
    names = dict.fromkeys(name for rows in trainings for row in rows for name in row)
    return [
        name
        for name in names
        if [one for one, pattern in PANELS.items() if pattern.search(name)][-1:] == [panel]
        and any(_number(row.get(name)) for rows in trainings for row in rows)
    ]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw_column(axes: Axes, trainings: Sequence[Sequence[Row]], name: str, colour: str, scale: float) -> None:
    label, few = name.replace("_", " "), len(trainings) <= 3
    for rows in trainings:
        known = [row for row in rows if _number(row.get(name))]
        x, y = [row[_unit(trainings)] for row in known], [scale * row[name] for row in known]
        axes.plot(x, y, color=colour, label=label, lw=1.4 if few else 0.8, alpha=1 if few else 0.6)
        label = None


def _unit(trainings: Sequence[Sequence[Row]]) -> str:
    """Column of the horizontal axis: `epoch` or `update`."""
    return next(unit for unit in UNITS for rows in trainings for row in rows if unit in row)
