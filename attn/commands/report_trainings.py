"""Pieces of trainings: their curves, and a table of all."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn.commands.report_runs import Found, Run
from attn.errors import UsageError
from attn.report.page_blocks import Chart, Note, Piece, Table
from attn.report.page_curves import curve_chart, switched_at
from attn.report.page_svg import style
from attn.training.run import REPORT, SUFFIX, TrainRun
from attn.training.untrained import UNTRAINED

MISSING = "–"
ACCURACY = "validation_accuracy"
LOSSES = ("train_loss", "loss")


@dataclasses.dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        name: name in the table.
        group: name of the trainings that are drawn together, which differ in split, seed and fold only.
        rows: rows of `metrics.jsonl`.
        report: content of `report.json`; None until it has finished.
    """

    name: str
    group: str
    rows: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any] | None


def read_training(run_url: str, name: str, group: str = "") -> Training:
    """Read a training from its `.train` folder."""
    run = TrainRun(run_url.removesuffix(".train") + SUFFIX, {})
    try:
        report = run.read(REPORT)
    except UsageError:  # the curves may be whole
        report = None
    return Training(name, group, run.metrics(), report)


def read_one_training(run: Run) -> Found:
    """Return the pieces of the folder of one training."""
    training = read_training(run.url, run.name)
    state = "finished" if training.report is not None else "unfinished"
    return Found(f"{state} training with {len(training.rows)} validations", list(pieces_of_trainings([training])))


def pieces_of_trainings(trainings: Sequence[Training]) -> Iterator[Piece]:
    """Yield a table of all trainings, and the curves of each group."""
    begun = [one for one in trainings if one.rows]
    if begun:
        head = ["training", "steps", "last loss", "validation, %", "mining switched", "seconds", "remark"]
        yield Piece("training", Table(head, [_row(one) for one in begun]))
    for group in dict.fromkeys(one.group for one in begun):
        own = [one for one in begun if one.group == group]
        with style():
            figure = curve_chart([one.rows for one in own])
        count = f"{len(own)} trainings" if len(own) > 1 else "One training"
        switched = sum(switched_at(one.rows) is not None for one in own)
        unit = f"; the mining switched in {switched} (dotted lines)" if "candidates" in own[0].rows[-1] else ""
        chart = Chart(f"training.{group}", f"Training of {group or own[0].name}", figure, f"{count}{unit}.")
        yield Piece("training", chart, group)
    if not begun:
        yield Piece("training", Note("No training has reached its first validation."))


def _row(one: Training) -> list[str]:
    last, report = one.rows[-1], one.report or {}
    unit = "epoch" if "epoch" in last else "update"
    loss = next((last[name] for name in LOSSES if last.get(name) is not None), None)
    accuracies = [row[ACCURACY] for row in one.rows if row.get(ACCURACY) is not None]
    accuracy = report.get(ACCURACY, max(accuracies, default=None))
    switch = report.get("switched_at") or switched_at(one.rows)
    remark = " ".join(report.get(UNTRAINED) or ()) if one.report is not None else "unfinished"
    return [
        one.name,
        f"{last[unit]} {unit}s",
        MISSING if loss is None else f"{loss:.3f}",
        MISSING if accuracy is None else f"{100 * accuracy:.1f}",
        MISSING if switch is None else str(switch),
        f"{report['seconds']:.0f}" if "seconds" in report else MISSING,
        remark,
    ]
