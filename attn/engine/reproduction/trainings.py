"""Trainings of a plan: how many are over, and which of them have learnt nothing."""

from collections.abc import Sequence
from typing import Any

from attn.engine.reproduction.step import Step
from attn.engine.training.run import REPORT, TrainRun
from attn.models.energynet_file import NAME
from attn.stages.untrained import UNTRAINED
from attn.storage.filesystem import join


def trainings(steps: Sequence[Step]) -> dict[str, Any]:
    """Number of finished trainings, and of each that has learnt nothing the reasons that its report gives.

    Args:
        steps: of the plan; other jobs and what is not finished do not count.
    """
    reports = {step.name: _report(step) for step in steps if step.job in ("train_cnn", "train_energynet")}
    over = {name: report for name, report in reports.items() if report is not None}
    return {
        "count": len(over),
        UNTRAINED: {name: report[UNTRAINED] for name, report in over.items() if report.get(UNTRAINED)},
    }


def _report(step: Step) -> dict[str, Any] | None:
    out = step.options.out
    return TrainRun(out if step.job == "train_cnn" else join(out, NAME), {}).read(REPORT)
