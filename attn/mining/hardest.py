"""Hard negatives: those with the largest loss among many random candidates."""

from jaxtyping import Float, Int
from torch import Tensor


def hardest(losses: Float[Tensor, "candidate"], num_hard: int) -> Int[Tensor, "hard"]:
    """Indices of the largest losses, largest first; among equal losses, the earlier index comes first.

    The sort is stable, so that all workers of a group choose the same candidates.

    Args:
        losses: losses of the candidates.
        num_hard: number of indices, K_h; if there are fewer candidates, all of them.

    Source: Li et al. 2017, section 3.4.2.
    """
    return losses.argsort(descending=True, stable=True)[:num_hard]
