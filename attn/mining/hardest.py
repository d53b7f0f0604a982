"""Hard negatives: of many random candidates, those with the largest loss."""

from jaxtyping import Float, Int
from torch import Tensor


def hardest(losses: Float[Tensor, "candidate"], num_hard: int) -> Int[Tensor, "hard"]:
    """Indices of the largest losses, largest first; of equal ones the earlier.

    Sorted stably, so that all workers of a group choose the same ones.

    Args:
        losses: of the candidates.
        num_hard: K_h; all candidates where there are no more than that.

    Source: Li et al. 2017, section 3.4.2.
    """
    return losses.argsort(descending=True, stable=True)[:num_hard]
