"""KL divergence of attention maps of clips: distillation from a teacher's map, and a uniform prior."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

KlDirection = Literal["reverse", "forward"]


def attention_kl(
    logits: Float[Tensor, "clip time row col"],
    target: Float[Tensor, "clip target_time target_row target_col"] | None = None,
    *,
    temperature: float = 1.0,
    target_temperature: float = 1.0,
    direction: KlDirection = "reverse",
) -> Float[Tensor, "clip"]:
    """Normalised KL divergence of a predicted attention map from a target; one value per clip.

        P = softmax_HW(e / τ),   Q = softmax_HW(e_target / τ_target), or uniform 1 / HW without a target
        reverse:  1 / (T log HW) Σ_t Σ_hw P (log P - log Q)
        forward:  1 / (T log HW) Σ_t Σ_hw Q (log Q - log P)

    The factor log HW is the largest reverse divergence from a uniform target, so that the prior is from 0 to 1; other
    targets can exceed 1. A map with one cell has divergence 0. Both maps are log-softmaxes of logits, so a weight that
    underflows to 0 contributes 0. No gradient reaches the target.

    Args:
        logits: e, logits of the predicted map.
        target: logits of the target's map, of the same shape; None for a uniform target.
        temperature: τ.
        target_temperature: τ of the target.
        direction: reverse: KL(P || Q), as in the released attention heads of the paper's first author. forward:
            KL(Q || P), the usual direction of distillation.

    Raises:
        ValueError: the shapes of the maps differ.

    Source: Liu et al. 2019; normalisation and direction: `KLDiv` of the first author's code for egocentric forecasting.
    Differs: that code takes logarithms of weights, which are NaN at 0.

    Example:
        >>> attention_kl(torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]]]))  # uniform attention
        tensor([0.])
        >>> attention_kl(torch.tensor([[[[99.0, 0.0], [0.0, 0.0]]]]))  # all attention on one cell
        tensor([1.])
    """
    if target is not None and target.shape != logits.shape:
        raise ValueError(f"maps of {tuple(logits.shape[1:])} and {tuple(target.shape[1:])}")
    predicted = torch.log_softmax(logits.flatten(2) / temperature, -1)
    cells = predicted.shape[-1]
    if target is None:
        wanted = torch.full_like(predicted, -math.log(cells))
    else:
        wanted = torch.log_softmax(target.detach().flatten(2) / target_temperature, -1)
    first, second = (predicted, wanted) if direction == "reverse" else (wanted, predicted)
    divergence = (first.exp() * (first - second)).sum(-1)
    return divergence.mean(1) / (math.log(cells) or 1.0)
