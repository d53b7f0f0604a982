"""Training function that every Ray Train worker runs, the same for every model."""

from typing import Any

import ray.train
import ray.train.torch
import torch

from attn.errors import UsageError
from attn.training.checkpoints import CheckpointFolder, GroupCheckpoints
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.status import StatusWriter


def train_worker(config: dict[str, Any]) -> UsageError | None:
    """Train on one worker of a group.

    Args:
        config: `job`, data of the training; `learner`, a context manager that takes job, group and `StatusWriter`, and
            yields a `Learner` or an error; `large`, further arguments of `learner`; `status`, status of the training;
            `states`, URL of the checkpoints.

    Returns:
        The error that only the user can fix, or None. It is not raised, because Ray would retry.
    """
    job, group = config["job"], this_worker()
    status = StatusWriter(config["status"], rank=group.rank)
    checkpoints = GroupCheckpoints(CheckpointFolder(config["states"], every_s=0), group, report=ray.train.report)
    with config["learner"](job, group, status, **config["large"]) as learner:
        if isinstance(learner, UsageError):
            return learner
        return TrainingLoop(learner, status, checkpoints, run_url=job.run_url).run()


def this_worker() -> Group:
    """Return the group, seen from the current Ray Train worker."""
    context, device = ray.train.get_context(), ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return Group(
        rank=context.get_world_rank(),
        local_rank=context.get_local_rank(),
        local_size=context.get_local_world_size(),
        size=context.get_world_size(),
        device=device,
    )
