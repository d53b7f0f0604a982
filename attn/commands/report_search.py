"""Pieces of a hyperparameter search: all trials, and its plots."""

from collections.abc import Iterator
from typing import Any

from attn.commands.report_runs import Found, Run, exists, read_json
from attn.commands.search.ranked import best_first, trial_row
from attn.report.page_blocks import Chart, Note, Piece, Table
from attn.report.page_svg import style
from attn.report.search_page import PICTURES, SearchFigures, about_search, search_pictures
from attn.storage.filesystem import join
from attn.training.trial_records import OVER, Trial, read_trials

BEST = "best.json"
MISSING = "–"


def read_search(run: Run) -> Found:
    """Return the pieces of the output folder of `tune/search.py`, finished or not."""
    trials = read_trials(run.url)
    over = best_first([trial for trial in trials if trial.status in OVER])
    best = read_json(join(run.url, BEST)) if exists(join(run.url, BEST)) else {}
    state = "finished" if best else "unfinished"
    return Found(f"{state} search of {len(trials)} trials", list(_pieces(over, best)) if over else [])


def _pieces(trials: list[Trial], best: dict[str, Any]) -> Iterator[Piece]:
    importance = best.get("importance", {"shares": {}, "updates": 0})
    settings = list(trials[0].drawn)
    figures = SearchFigures(
        [trial_row(trial) for trial in trials],
        settings,
        importance["shares"],
        importance["updates"],
        best,
        sum(trial.seconds for trial in trials),
    )
    if best:
        yield Piece("search", Note(about_search(figures)))
    head = ["trial", "validation, %", "end", "updates", "seconds", *settings]
    rows = [
        [
            str(one["trial"]),
            MISSING if one["validation_accuracy"] is None else f"{100 * one['validation_accuracy']:.1f}",
            one["status"],
            str(one["update"]),
            f"{one['seconds']:.0f}",
            *(_shown(one.get(name, MISSING)) for name in settings),
        ]
        for one in figures.trials
    ]
    yield Piece("search", Table(head, rows, "Trials, best first"))
    with style():
        for name, picture in search_pictures(figures).items():
            yield Piece("search", Chart(f"search.{name}", PICTURES[name].capitalize(), picture))


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
