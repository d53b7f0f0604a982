"""Cross-entropy of predictions that are made at every step of a window."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def step_cross_entropy(
    logits: Float[Tensor, "window step cls"], labels: Int[Tensor, "window"] | Bool[Tensor, "window cls"]
) -> Float[Tensor, "window"]:
    """Cross-entropy summed over all steps; one value per window.

        -Σ_t log softmax(logits_t)_y                                             one class y per window
        -Σ_t Σ_c [y_c log σ(logits_{t,c}) + (1 - y_c) log σ(-logits_{t,c})]      any number of classes

    Every step counts the same, the first included, although it has seen a single frame.

    Args:
        logits: logits of every step.
        labels: class id of each window, or a mask of its classes.

    Source: Sharma et al. 2015, Eq. 6; the second form is that of the released code for Hollywood2. Differs: the
    released code adds 1e-8 to each probability before the logarithm.

    Example:
        >>> step_cross_entropy(torch.zeros(1, 3, 2), torch.tensor([0]))  # 3 log 2
        tensor([2.0794])
    """
    if labels.ndim == 1:
        steps = labels[:, None].expand(logits.shape[:2])
        return F.cross_entropy(logits.flatten(0, 1), steps.flatten(), reduction="none").view_as(steps).sum(1)
    targets = labels[:, None].expand(logits.shape).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum((1, 2))
