"""Group of the workers of a training: sums and gathered values over all workers."""

import dataclasses
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Group:
    """Worker and its group.

    Attributes:
        rank: number of this worker among all workers.
        local_rank: number of this worker among the workers of its machine.
        local_size: number of workers on this machine.
        size: number of workers.
        device: device of this worker.
    """

    rank: int
    local_rank: int
    local_size: int
    size: int
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device) -> "Group":
        """Return a group of one worker."""
        return cls(0, 0, 1, 1, device)

    def wrapped(self, model: nn.Module, **settings: Any) -> nn.Module:
        """Move a model to the device; with several workers, average its gradients over them.

        Args:
            model: model; moved in place.
            settings: further arguments of `DistributedDataParallel`.
        """
        model = model.to(self.device)
        if self.size == 1:
            return model
        if self.device.type == "cuda":
            settings = {"device_ids": [self.device], "output_device": self.device, **settings}
        return DistributedDataParallel(model, **settings)

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum over all workers."""
        values = values.to(self.device)
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all workers, in order of rank; every worker waits for all others."""
        if self.size == 1:
            return [value]
        values: list[Value | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]
