"""A search as tables and pictures: its best trials, all trials side by side, what mattered, accuracy over time."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

SHOWN = 10
MOST_TICKS = 8
COLOURS = "viridis"
BEHIND = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
FIGURES = ("trial", "status", "validation_accuracy", "update", "seconds")


class SearchFigures(NamedTuple):
    """What there is to show.

    Attributes:
        trials: best first; `FIGURES`, the settings, and `rows`, pairs of update and accuracy (0–1).
        settings: names, in the order of the space.
        importance: share of each setting; empty where it is not known.
        budget: updates after which it was looked at.
        best: as in best.json.
        trained_s: seconds of all trials together.
    """

    trials: list[dict[str, Any]]
    settings: list[str]
    importance: dict[str, float]
    budget: int
    best: dict[str, Any]
    trained_s: float


def as_csv(figures: SearchFigures) -> str:
    """A line per trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FIGURES, *figures.settings], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures.trials)
    return text.getvalue()


def as_markdown(figures: SearchFigures) -> str:
    """The best trials, and what mattered."""
    best, settings = figures.best, figures.settings
    lines = [
        "# Search for the settings of an EnergyNet",
        "",
        f"{best['trials']} trials, {best['stopped_early']} of them stopped early, {figures.trained_s:.0f} s trained,",
        f"judged by {best['held_out_videos']} training videos that were held out; no test video was opened. Of many",
        "trials the best is also a lucky one: expect less of it on other videos. The standard error of its accuracy is",
        f"{100 * best['standard_error']:.1f} points.",
        "",
        f"Trials that were trained to their end stand first; the best {SHOWN}.",
        "",
        _row(["trial", "validation", "end", "updates", *settings]),
        _row(["---"] * (4 + len(settings))),
    ]
    for trial in figures.trials[:SHOWN]:
        accuracy = f"{100 * (trial['validation_accuracy'] or 0):.1f} %"
        values = [_shown(trial.get(name, "")) for name in settings]
        lines.append(_row([str(trial["trial"]), accuracy, trial["status"], str(trial["update"]), *values]))
    if figures.importance:
        what = f"Share of the differences between trials, after {figures.budget} updates, that a setting explains:"
        lines += ["", what, ""]
        lines += [_row(["setting", "share"]), _row(["---", "---"])]
        lines += [_row([name, f"{100 * share:.0f} %"]) for name, share in _ranked(figures.importance)]
    lines += [
        "",
        "![all trials](parallel.png)",
        "",
        "![importance](importance.png)",
        "",
        "![accuracy](progress.png)",
        "",
    ]
    return "\n".join([*lines, ""])


def draw_parallel(figures: SearchFigures) -> bytes:
    """A line per trial through the values of all its settings, coloured by accuracy, as a PNG."""
    settings = figures.settings
    figure = Figure(figsize=(1.6 * len(settings) + 2.5, 4.5))
    axes = figure.subplots()
    colours = matplotlib.colormaps[COLOURS]
    scales = {name: _Scale([trial.get(name) for trial in figures.trials]) for name in settings}
    best = max((trial["validation_accuracy"] or 0 for trial in figures.trials), default=0)
    worst = min((trial["validation_accuracy"] or 0 for trial in figures.trials), default=0)
    norm = Normalize(100 * worst, 100 * max(best, worst + 1e-6))
    for trial in reversed(figures.trials):
        accuracy = 100 * (trial["validation_accuracy"] or 0)
        heights = [scales[name].height(trial.get(name)) for name in settings]
        finished = trial["status"] == "finished"
        axes.plot(heights, color=colours(norm(accuracy)), alpha=0.9 if finished else 0.35, lw=1.6)
    for place, name in enumerate(settings):
        axes.axvline(place, color="0.6", lw=0.8)
        for height, label in scales[name].ticks():
            axes.annotate(
                label, (place, height), xytext=(3, 0), textcoords="offset points", fontsize=7, va="center", bbox=BEHIND
            )
    axes.set_xticks(range(len(settings)), settings, rotation=30, ha="right")
    axes.set_yticks([])
    axes.margins(x=0.02)
    _bare(axes)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label="validation accuracy, %", pad=0.04)
    axes.set_title("All trials; pale: stopped early")
    return _png(figure)


def draw_importance(figures: SearchFigures) -> bytes:
    """The share of each setting as a bar, as a PNG."""
    figure = Figure(figsize=(6, 0.4 * max(len(figures.importance), 1) + 1.2))
    axes = figure.subplots()
    ranked = _ranked(figures.importance)[::-1]
    axes.barh([name for name, _ in ranked], [100 * share for _, share in ranked], color="#31688e")
    axes.set_xlabel("share of the differences between trials, %")
    if not ranked:
        axes.text(0.5, 0.5, "too few trials", ha="center", transform=axes.transAxes)
    _bare(axes)
    return _png(figure)


def draw_progress(figures: SearchFigures) -> bytes:
    """Left the accuracy of each trial over its updates, right the best so far over the trials, as a PNG."""
    figure = Figure(figsize=(10, 4))
    left, right = figure.subplots(1, 2)
    for trial in figures.trials:
        updates, accuracies = zip(*trial["rows"], strict=True) if trial["rows"] else ((), ())
        finished = trial["status"] == "finished"
        left.plot(updates, [100 * value for value in accuracies], color="#31688e" if finished else "0.75", lw=1)
    left.set_xlabel("update")
    left.set_ylabel("validation accuracy, %")
    left.set_title("Trials; grey: stopped early")
    ordered = sorted(figures.trials, key=lambda trial: trial["trial"])
    for shown, colour in (("stopped", "0.75"), ("finished", "#31688e")):
        ended = [trial for trial in ordered if trial["status"] == shown]
        right.plot(
            [t["trial"] for t in ended], [100 * (t["validation_accuracy"] or 0) for t in ended], ".", color=colour
        )
    finished = [trial for trial in ordered if trial["status"] == "finished"]
    values = [100 * (trial["validation_accuracy"] or 0) for trial in finished]
    best = [max(values[: count + 1]) for count in range(len(values))]
    right.step([trial["trial"] for trial in finished], best, where="post", color="#31688e")
    right.set_xlabel("trial")
    right.set_title("Best so far of those trained to the end")
    for axes in (left, right):
        _bare(axes)
    return _png(figure)


class _Scale:
    """Heights from 0 to 1 for the values of one setting: logarithmic where they span more than a decade.

    Args:
        values: of all trials; None where a trial has none.
    """

    def __init__(self, values: Sequence[Any]):
        known = [value for value in values if value is not None]
        self.numbers = bool(known) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
        self.values: list[Any] = sorted(set(known)) if self.numbers else sorted(set(map(str, known)))
        self.log = self.numbers and min(self.values) > 0 and max(self.values) > 10 * min(self.values)

    def height(self, value: Any) -> float:
        if value is None:
            return float("nan")
        if not self.numbers:
            return self.values.index(str(value)) / max(len(self.values) - 1, 1)
        low, high, here = (
            math.log(number) if self.log else number for number in (self.values[0], self.values[-1], value)
        )
        return 0.5 if high == low else (here - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        drawn = any(isinstance(value, float) for value in self.values)
        shown = [self.values[0], self.values[-1]] if drawn or len(self.values) > MOST_TICKS else self.values
        return [(self.height(value), _shown(value)) for value in shown]


def _ranked(importance: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(importance.items(), key=lambda item: -item[1])


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    figure.tight_layout()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()
