"""Losses of a network that attends to the samples of a video in time.

Source: Zhang et al. 2019.
"""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def attention_smoothness(
    attention: Float[Tensor, "video sample"], real: Bool[Tensor, "video sample"]
) -> Float[Tensor, "video"]:
    """Squared differences of neighbouring attention weights: Σ_i (a_i − a_{i+1})².

    Uniform attention has 0, all attention on one inner sample 2, on the first or last one 1. For diffuse attention over
    n samples it is O(1/n), or O(1/n³) if the attention varies slowly.

    Args:
        attention: attention weights.
        real: mask of the samples that are not padding, which comes last.

    Example:
        >>> real = torch.ones(2, 4, dtype=torch.bool)
        >>> attention_smoothness(torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]]), real)
        tensor([0., 2.])
    """
    return (attention.diff(dim=1).square() * real[:, 1:]).sum(1)


def attention_sparsity(attention: Float[Tensor, "video sample"], *, normalised: bool) -> Float[Tensor, "video"]:
    """Sum of absolute attention weights, ‖a‖₁.

    Args:
        attention: attention weights, 0 or more.
        normalised: whether the weights of a video add up to 1, as after a softmax. The sum is then the constant 1 with
            a gradient of exactly 0, which a sum of rounded numbers would not have.

    Example:
        >>> attention_sparsity(torch.tensor([[0.5, 0.0, 0.25]]), normalised=False)
        tensor([0.7500])
    """
    return attention.new_ones(len(attention)) if normalised else attention.abs().sum(1)


def label_cross_entropy(
    logits: Float[Tensor, "video cls"], classes: Bool[Tensor, "video cls"]
) -> Float[Tensor, "video"]:
    """Softmax cross-entropy with L1-normalised label sets: −(1/|Y|) Σ_{c ∈ Y} log p_c; 0 for a video without a class.

    Source: W-TALC's public code for videos with several classes (sujoyp/wtalc-pytorch).

    Example:
        >>> label_cross_entropy(torch.zeros(1, 4), torch.tensor([[True, False, True, False]]))  # log 4
        tensor([1.3863])
    """
    counts = classes.sum(1)
    summed = (F.log_softmax(logits, 1) * classes).sum(1)
    return -summed / counts.clamp(min=1)
