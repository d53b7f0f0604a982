"""Runner of a plan on one Ray cluster, whose CPUs its trainings share."""

import dataclasses
from collections.abc import Sequence

from attn.commands.reproduction.jobs import job
from attn.commands.reproduction.reproduce_options import TablesOptions
from attn.engine.placement import cluster_totals
from attn.engine.run_steps import Outcome, run_steps
from attn.engine.session import start_ray
from attn.engine.step import Step
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.cnn_options import TrainCnnOptions
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.tsrnet_options import TrainTsrnetOptions

CPUS_PER_STEP = 4
LEAST_SIDE_BY_SIDE = 2  # a training mostly waits while it starts


def run_plan(steps: Sequence[Step], options: TablesOptions) -> Outcome:
    """Run the steps of a plan on the current Ray cluster, or on a new local one."""
    start_ray()
    side_by_side = options.side_by_side or _side_by_side()
    return run_steps(_sharing(steps, side_by_side), options.out, job, side_by_side=side_by_side)


def _side_by_side() -> int:
    totals = cluster_totals()
    return int(totals["GPU"]) or max(LEAST_SIDE_BY_SIDE, int(totals["CPU"] / CPUS_PER_STEP))


def _sharing(steps: Sequence[Step], side_by_side: int) -> list[Step]:
    """Divide the cluster's CPUs between trainings that run at the same time; no effect if the cluster has GPUs.

    The first trainings, which all others wait for, are few and get more CPUs each.
    """
    totals = cluster_totals()
    divided = TrainCnnOptions | TrainClipCnnOptions | TrainSoftAttentionOptions | TrainTsrnetOptions
    trainings = {step.name for step in steps if isinstance(step.options, divided)}
    after = set[str]()  # steps that wait for a training
    for step in steps:
        if (trainings | after) & set(step.needs):
            after.add(step.name)
    first = trainings - after

    def shared(step: Step) -> Step:
        beside = min(side_by_side, len(first)) if step.name in first else side_by_side
        cpus = max(1, int(totals["CPU"] / beside))
        return dataclasses.replace(step, options=dataclasses.replace(step.options, cpus_per_worker=cpus))

    return [shared(step) if step.name in trainings and not totals["GPU"] else step for step in steps]
