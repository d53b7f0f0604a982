"""The workers of one training as a group: sums over all of them, and agreement before anybody goes on."""

import dataclasses
from typing import TypeVar

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Group:
    """This worker's place among all.

    Attributes:
        rank: number among all workers.
        local_rank: number among those of this machine.
        local_size: workers of this machine.
        size: of the group.
        device: where this worker computes.
    """

    rank: int
    local_rank: int
    local_size: int
    size: int
    device: torch.device

    @classmethod
    def of_this_worker(cls) -> "Group":
        context = ray.train.get_context()
        device = ray.train.torch.get_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return cls(
            *(context.get_world_rank(), context.get_local_rank()),
            *(context.get_local_world_size(), context.get_world_size()),
            device,
        )

    @classmethod
    def alone(cls, device: torch.device) -> "Group":
        """A group of one, without Ray Train."""
        return cls(0, 0, 1, 1, device)

    def sum(self, values: Tensor) -> Tensor:
        """Element by element over all workers."""
        values = values.to(self.device)
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Value) -> list[Value]:
        """Gathers a value of each worker, in order of rank; every worker waits until all have given theirs."""
        if self.size == 1:
            return [value]
        values: list[Value | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]
