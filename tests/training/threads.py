"""Worker group in one process."""

import dataclasses
from threading import Barrier

import torch
from torch import Tensor


class Threads:
    """A group of workers that are threads, whose sums wait for each other."""

    def __init__(self, size: int):
        self.barrier, self.given = Barrier(size), [torch.empty(0)] * size

    def worker(self, rank: int) -> "Worker":
        return Worker(self, rank, len(self.given))


@dataclasses.dataclass
class Worker:
    group: Threads
    rank: int
    size: int

    def sum(self, values: Tensor) -> Tensor:
        self.group.given[self.rank] = values
        self.group.barrier.wait()
        total = torch.stack(self.group.given).sum(0)
        self.group.barrier.wait()
        return total
