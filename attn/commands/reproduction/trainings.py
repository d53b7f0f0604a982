"""Summary of a plan's trainings: how many have finished, and which of them learnt nothing."""

from collections.abc import Sequence
from typing import Any

from attn.engine.run_steps import Outcome
from attn.engine.step import Step
from attn.models import energynet_file, soft_attention_file, tsrnet_file
from attn.storage.filesystem import join
from attn.training.run import REPORT, TrainRun
from attn.training.untrained import UNTRAINED

NAMES = {
    "train_cnn": "",
    "train_clip_cnn": "",
    "train_energynet": energynet_file.NAME,
    "train_soft_attention": soft_attention_file.NAME,
    "train_tsrnet": tsrnet_file.NAME,
}
"""Names of the networks in the output folders of the trainings. For train_cnn and train_clip_cnn, the output is the
network itself."""


def made(outcome: Outcome, steps: Sequence[Step], jobs: Sequence[str]) -> dict[str, Any]:
    """Entries of `tables.json` about a run: seconds of each job, and the summary of the trainings."""
    return {
        "seconds": {job: sum(outcome.seconds.get(one.name, 0) for one in steps if one.job == job) for job in jobs},
        "trainings": trainings([step for step in steps if step.name not in outcome.failed]),
    }


def trainings(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the number of finished trainings, and the reported reasons of those that learnt nothing.

    Args:
        steps: steps of the plan; only finished trainings are counted.
    """
    reports = {step.name: _report(step) for step in steps if step.job in NAMES}
    over = {name: report for name, report in reports.items() if report is not None}
    return {
        "count": len(over),
        UNTRAINED: {name: report[UNTRAINED] for name, report in over.items() if report.get(UNTRAINED)},
    }


def _report(step: Step) -> dict[str, Any] | None:
    name = NAMES[step.job]
    return TrainRun(join(step.options.out, name) if name else step.options.out, {}).read(REPORT)
