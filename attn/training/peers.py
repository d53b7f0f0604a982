"""Group of workers that train one network together, from the view of one worker."""

import dataclasses
from typing import Protocol

import torch
from torch import Tensor, nn


class Peers(Protocol):
    """Worker group, from the view of one worker.

    Attributes:
        rank: rank of this worker.
        size: number of workers.
    """

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...

    def sum(self, values: Tensor) -> Tensor:
        """Sum element-wise over all workers; may overwrite its argument."""
        ...


@dataclasses.dataclass(frozen=True)
class Alone:
    """Group of one worker."""

    rank: int = 0
    size: int = 1

    def sum(self, values: Tensor) -> Tensor:
        return values


def sum_gradients(net: nn.Module, numbers: Tensor, peers: Peers) -> list[float]:
    """Sum the gradients and a few numbers over the workers, in one message; return the numbers."""
    if peers.size == 1:
        return numbers.tolist()
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    total = peers.sum(torch.cat([*(gradient.flatten() for gradient in gradients), numbers]))
    parts = total.split([gradient.numel() for gradient in gradients] + [len(numbers)])
    for gradient, part in zip(gradients, parts, strict=False):
        gradient.copy_(part.view_as(gradient))
    return parts[-1].tolist()
