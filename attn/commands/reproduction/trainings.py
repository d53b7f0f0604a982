"""Summary of a plan's trainings: how many have finished, and which of them learnt nothing."""

from collections.abc import Sequence
from typing import Any

from attn.engine.step import Step
from attn.models.energynet_file import NAME
from attn.storage.filesystem import join
from attn.training.run import REPORT, TrainRun
from attn.training.untrained import UNTRAINED


def trainings(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the number of finished trainings, and the reported reasons of those that learnt nothing.

    Args:
        steps: steps of the plan; only finished trainings are counted.
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
