"""Maximum mean discrepancy (MMD) of two sets of vectors, with Gaussian kernels."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Kernel = Literal["gaussian", "multi"]
Estimate = Literal["biased", "unbiased"]

WIDTHS = {"gaussian": (1.0,), "multi": (0.25, 0.5, 1.0, 2.0, 4.0)}
"""Factors of the bandwidth of the kernels whose sum is used."""


class Discrepancy(NamedTuple):
    """MMD of two sets, and its expectation for sets of equal distribution.

    Attributes:
        value: MMD², with gradients for both sets.
        floor: (1/n_T + 1/n_U) (k(x, x) − mean k(t, u)) for the biased estimate, 0 for the unbiased one; no gradient.
    """

    value: Float[Tensor, ""]
    floor: Float[Tensor, ""]


def maximum_mean_discrepancy(
    trimmed: Float[Tensor, "t chan"],
    untrimmed: Float[Tensor, "u chan"],
    *,
    kernel: Kernel = "gaussian",
    estimate: Estimate = "biased",
    bandwidth: Float[Tensor, ""] | None = None,
) -> Discrepancy:
    """Squared MMD of two sets of vectors.

        MMD² = 1/n_T² Σ k(t_i, t_j) + 1/n_U² Σ k(u_i, u_j) − 2/(n_T n_U) Σ k(t_i, u_j)
        k(x, y) = Σ_w exp(−‖x − y‖² / (2 w σ²))        w = 1, or ¼, ½, 1, 2, 4 for `multi`
        σ² = mean of ‖x − y‖² over all pairs of the pooled sets, including those of a vector with itself

    The unbiased estimate leaves out the diagonals and may be negative. The biased one does not reach 0 for
    sets of equal distribution: without its floor beside it, a flat loss looks like a failure.

    Args:
        trimmed: T; at least one vector, two for the unbiased estimate.
        untrimmed: U; likewise.
        kernel: a single kernel, or the sum of five.
        estimate: form of MMD².
        bandwidth: σ²; default: as above, without a gradient.

    Source: Zhang et al. 2019; Gretton et al. 2012; for σ² the GaussianKernel of thuml/Transfer-Learning-Library.

    Example:
        >>> trimmed, untrimmed = torch.zeros(4, 2), torch.ones(4, 2)
        >>> round(maximum_mean_discrepancy(trimmed, trimmed).value.item(), 3)
        0.0
        >>> round(maximum_mean_discrepancy(trimmed, untrimmed).value.item(), 3)
        1.264
    """
    pooled = torch.cat([trimmed, untrimmed])
    # Differences, not scalar products, so that the distance of equal vectors is exactly 0.
    distances = (pooled[:, None] - pooled).square().sum(-1)
    width = distances.detach().mean() if bandwidth is None else bandwidth
    width = width.clamp(min=torch.finfo(distances.dtype).tiny)  # all vectors may be equal
    kernels = torch.stack([torch.exp(-distances / (2 * factor * width)) for factor in WIDTHS[kernel]]).sum(0)
    count = len(trimmed)
    within = (kernels[:count, :count], kernels[count:, count:])
    across = kernels[:count, count:].mean()
    if estimate == "unbiased":
        means = [(square.sum() - square.diagonal().sum()) / (len(square) * (len(square) - 1)) for square in within]
        return Discrepancy(sum(means, -2 * across), torch.zeros_like(across))
    floor = sum((len(WIDTHS[kernel]) - across.detach()) / len(square) for square in within)
    return Discrepancy(sum((square.mean() for square in within), -2 * across), torch.as_tensor(floor))
