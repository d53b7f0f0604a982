"""Page of a hyperparameter search: best trials, parallel coordinates, importance of settings, accuracy over time."""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SHOWN = 10
MOST_TICKS = 8
COLOURS = "viridis"
BEHIND = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
BLUE, GREY = "#31688e", "0.7"
MARGIN = 0.06
"""Share of the height of `parallel.png` above and below the axes, for the labels at their ends."""
PICTURES = {"parallel": "all trials", "importance": "importance", "progress": "accuracy"}
MODELS = {"energynet": "an EnergyNet", "soft_attention": "a soft-attention LSTM", "tsrnet": "a TSRNet"}
FIGURES = ("trial", "status", "validation_accuracy", "update", "seconds")


class SearchFigures(NamedTuple):
    """Results of a search.

    Attributes:
        trials: records of the trials, best first, with `FIGURES`, the settings, and `rows`, pairs of update and
            accuracy (0–1).
        settings: names of the settings, in the order of the search space.
        importance: importance of each setting, as a share; empty if unknown.
        budget: number of updates after which importance was measured.
        best: content of best.json.
        trained_s: total training time of all trials, in seconds.
    """

    trials: list[dict[str, Any]]
    settings: list[str]
    importance: dict[str, float]
    budget: int
    best: dict[str, Any]
    trained_s: float


def as_csv(figures: SearchFigures) -> str:
    """Format the trials as CSV, one line per trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FIGURES, *figures.settings], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures.trials)
    return text.getvalue()


def as_markdown(figures: SearchFigures) -> str:
    """Format the best trials and the importance of settings as Markdown."""
    settings = figures.settings
    lines = [
        f"# Search for the settings of {MODELS[figures.best.get('model', 'energynet')]}",
        "",
        about_search(figures),
        "",
        f"The best {SHOWN} trials; finished trials come before those stopped early.",
        "",
        _row(["trial", "validation", "end", "updates", *settings]),
        _row(["---"] * (4 + len(settings))),
    ]
    for trial in figures.trials[:SHOWN]:
        accuracy = f"{100 * (trial['validation_accuracy'] or 0):.1f} %"
        values = [_shown(trial.get(name, "")) for name in settings]
        lines.append(_row([str(trial["trial"]), accuracy, trial["status"], str(trial["update"]), *values]))
    if figures.importance:
        title = f"Share of the differences between trials, after {figures.budget} updates, explained by each setting:"
        lines += ["", title, ""]
        lines += [_row(["setting", "share"]), _row(["---", "---"])]
        lines += [_row([name, f"{100 * share:.0f} %"]) for name, share in _ranked(figures.importance)]
    missing = why_missing(figures)
    for name, text in PICTURES.items():
        lines += ["", f"{name}.png is not drawn: {missing[name]}." if name in missing else f"![{text}]({name}.png)"]
    return "\n".join([*lines, ""])


def about_search(figures: SearchFigures) -> str:
    """Sentences about the number of trials, the videos that judged them, and the luck in the best of many."""
    best = figures.best
    return (
        f"{best['trials']} trials, {best['stopped_early']} of them stopped early, {figures.trained_s:.0f} s trained, "
        f"validated on {best['held_out_videos']} held-out training videos, without using test videos. The best of many "
        f"trials is partly best by luck, so expect less on other videos. It has {figure_shown(best)}."
    )


def figure_shown(best: dict[str, Any]) -> str:
    """Figure of the best trial on the held-out videos: accuracy with its standard error, or mAP.

    Args:
        best: content of best.json.
    """
    value, error = 100 * best["validation_accuracy"], best["standard_error"]
    if error is None:
        return f"validation mAP {value:.1f} %"
    return f"validation accuracy {value:.1f} ± {100 * error:.1f} %"


def draw(figures: SearchFigures) -> dict[str, bytes]:
    """Draw all figures for which there is enough data, as PNGs by name."""
    return {name: _png(picture) for name, picture in search_pictures(figures).items()}


def search_pictures(figures: SearchFigures) -> dict[str, Figure]:
    """Draw all figures for which there is enough data, by name."""
    drawn = {"parallel": _draw_parallel, "importance": _draw_importance, "progress": _draw_progress}
    missing = why_missing(figures)
    return {name: picture(figures) for name, picture in drawn.items() if name not in missing}


def why_missing(figures: SearchFigures) -> dict[str, str]:
    """Reasons why figures are not drawn, by name."""
    alone, alike = len(figures.trials) < 2, len({trial["validation_accuracy"] for trial in figures.trials}) < 2
    missing = {}
    if alone or alike:
        missing["parallel"] = "there is only one trial" if alone else "all trials are equally good"
    if not figures.importance:
        missing["importance"] = "there are too few trials, or they are too similar, to estimate importance"
    if alone and not _looked_at_twice(figures):
        missing["progress"] = "there is only one trial, with one validation"
    return missing


def _looked_at_twice(figures: SearchFigures) -> bool:
    return any(len(trial["rows"]) > 1 for trial in figures.trials)


def _draw_parallel(figures: SearchFigures) -> Figure:
    """Parallel coordinates: a line per trial through the values of its settings, coloured by accuracy."""
    settings = figures.settings
    figure = Figure(figsize=(1.6 * len(settings) + 2.5, 4.5))
    axes = figure.subplots()
    colours = matplotlib.colormaps[COLOURS]
    scales = {name: _Scale([trial.get(name) for trial in figures.trials]) for name in settings}
    accuracies = [_accuracy(trial) for trial in figures.trials]
    norm = Normalize(min(accuracies), max(accuracies))
    for trial in reversed(figures.trials):
        heights = [scales[name].height(trial.get(name)) for name in settings]
        alpha = 0.9 if trial["status"] == "finished" else 0.35
        axes.plot(heights, ".-", color=colours(norm(_accuracy(trial))), alpha=alpha, lw=1.6)
    for place, name in enumerate(settings):
        axes.axvline(place, color="0.6", lw=0.8, ymin=MARGIN, ymax=1 - MARGIN)
        for height, label in scales[name].ticks():
            _label(axes, place, height, label)
    axes.set_xticks(range(len(settings)), settings, rotation=30, ha="right")
    axes.set_yticks([])
    axes.set_ylim(-MARGIN / (1 - 2 * MARGIN), 1 + MARGIN / (1 - 2 * MARGIN))
    axes.margins(x=0.04)
    _bare(axes)
    axes.spines["left"].set_visible(False)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label="validation accuracy, %", pad=0.04)
    axes.set_title("All trials; pale: stopped early")
    figure.tight_layout()
    return figure


def _label(axes: Axes, place: int, height: float, label: str) -> None:
    """Draw a label beyond the end of an axis, or next to the axis and on top of the lines."""
    end = height in (0, 1)
    beside = (0, 7 if height else -7) if end else (5, 0)
    axes.annotate(
        label,
        (place, height),
        xytext=beside,
        textcoords="offset points",
        fontsize=7,
        ha="center" if end else "left",
        va="center",
        bbox=BEHIND,
    )


def _draw_importance(figures: SearchFigures) -> Figure:
    """Bar chart of the importance of each setting."""
    figure = Figure(figsize=(6, 0.4 * len(figures.importance) + 1.2))
    axes = figure.subplots()
    ranked = _ranked(figures.importance)[::-1]
    axes.barh([name for name, _ in ranked], [100 * share for _, share in ranked], color=BLUE)
    axes.set_xlabel("share of the differences between trials, %")
    _bare(axes)
    figure.tight_layout()
    return figure


def _draw_progress(figures: SearchFigures) -> Figure:
    """Accuracy of each trial over its updates, and the best accuracy so far over the trials.

    Panels with only one point are omitted.
    """
    panels = [_draw_looks] if _looked_at_twice(figures) else []
    panels += [_draw_best] if len(figures.trials) > 1 else []
    figure = Figure(figsize=(5 * len(panels), 4))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, figures)
        axes.set_ylabel("validation accuracy, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _bare(axes)
    figure.tight_layout()
    return figure


def _draw_looks(axes: Axes, figures: SearchFigures) -> None:
    for trial in figures.trials:
        updates, accuracies = zip(*trial["rows"], strict=True) if trial["rows"] else ((), ())
        axes.plot(updates, [100 * value for value in accuracies], ".-", color=_colour(trial), lw=1, ms=6)
    axes.set_xlabel("update")
    axes.set_title("Trials; grey: stopped early")


def _draw_best(axes: Axes, figures: SearchFigures) -> None:
    ordered = sorted(figures.trials, key=lambda trial: trial["trial"])
    for trial in ordered:
        axes.plot(trial["trial"], _accuracy(trial), ".", ms=8, color=_colour(trial))
    finished = [trial for trial in ordered if trial["status"] == "finished"]
    numbers = [trial["trial"] for trial in finished]
    best = list(itertools.accumulate(map(_accuracy, finished), max))
    if finished:
        axes.step([*numbers, ordered[-1]["trial"]], [*best, best[-1]], where="post", color=BLUE)
    axes.set_xlabel("trial")
    axes.set_title("Best finished trial so far" if finished else "All trials were stopped early")


def _accuracy(trial: dict[str, Any]) -> float:
    """Validation accuracy of a trial, in per cent."""
    return 100 * (trial["validation_accuracy"] or 0)


def _colour(trial: dict[str, Any]) -> str:
    return BLUE if trial["status"] == "finished" else GREY


class _Scale:
    """Axis of one setting with heights from 0 to 1, logarithmic if the values span more than a decade.

    Args:
        values: values of the setting in all trials; None if a trial has no value.
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
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()
