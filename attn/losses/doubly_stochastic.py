"""Doubly stochastic penalty: every cell should receive the same attention, summed over the steps of a window."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

PenaltyTarget = Literal["1", "T/K2"]
CellReduction = Literal["sum", "mean"]


def doubly_stochastic_penalty(
    attention_weights: Float[Tensor, "*batch step cell"],
    *,
    target: PenaltyTarget = "1",
    reduction: CellReduction = "sum",
) -> Float[Tensor, "*batch"]:
    """Squared distance of each cell's total attention from a target; one value per window.

        P = Σ_i (τ - Σ_t l_{t,i})²

    The weights of a step add up to 1, so the mean total of a cell is T / K². For τ = 1, the minimum K² (1 - T / K²)² is
    reached by uniform attention; it is 0 only if T = K².

    Args:
        attention_weights: l, which add up to 1 over the K² cells of each of T steps.
        target: τ. 1: as published. T/K2: the mean total, which makes the minimum 0.
        reduction: sum over cells, or mean over cells as in the released code, which is K² times smaller.

    Source: Sharma et al. 2015, Eq. 6, without its factor λ.

    Example:
        >>> weights = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]])  # [window, step, cell]
        >>> doubly_stochastic_penalty(weights)
        tensor([0., 2.])
    """
    steps, cells = attention_weights.shape[-2:]
    wanted = 1.0 if target == "1" else steps / cells
    distances = (wanted - attention_weights.sum(-2)).square()
    return distances.sum(-1) if reduction == "sum" else distances.mean(-1)
