"""Adam as in the released code of the soft-attention LSTM."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

FIRST, SECOND, EPSILON = 0.1, 0.001, 1e-8
"""Complements of the decay rates, and the number added to the denominator."""


class ReleasedAdam(Optimizer):
    """Adam as in the released code: its bias correction uses the complements of the decay rates.

    The correction therefore has an effect in the first few steps only.

        m = 0.1 g + 0.9 m,   v = 0.001 g² + 0.999 v
        θ = θ - lr · sqrt(1 - 0.001^t) / (1 - 0.1^t) · m / (sqrt(v) + 1e-8)

    The first step is 3.512 · lr · sign(g), because m is corrected and v hardly is.

    Args:
        weights: weights to train.
        lr: learning rate.
        weight_decay: L2 penalty, added to the gradient.

    Source: released code of Sharma et al. 2015, where lr is 2e-4.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, weight_decay: float = 0.0):
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Perform a step; a closure is not supported."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad.add(weight, alpha=group["weight_decay"]), group["lr"])

    def _move(self, weight: Tensor, gradient: Tensor, lr: float) -> None:
        state = self.state[weight]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, FIRST)
        square = state["square"].lerp_(gradient.square(), SECOND)
        rate = lr * math.sqrt(1 - SECOND ** state["step"]) / (1 - FIRST ** state["step"])
        weight.addcdiv_(mean, square.sqrt().add_(EPSILON), value=-rate)
