"""Triplet loss: true maps of one class must be closer to each other than to those of other classes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attn.losses.cosine import cosine_distance


def triplet_loss(
    anchor: Float[Tensor, "*batch dim"],
    positive: Float[Tensor, "*batch dim"],
    negative: Float[Tensor, "*batch dim"],
    *,
    margin: float = 0.5,
    valid: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Hinge loss on the difference of two cosine distances; one value per sample.

        TLoss = max{0, D(f(F,c), f(F+,c)) - D(f(F,c), f(F-,c-)) + β}

    The class's vector is an input of f, which is enough for the loss to fall to zero; early saturation is expected.

    Args:
        anchor: embeddings of true maps.
        positive: embeddings of true maps from other videos of the same classes.
        negative: embeddings of true maps from videos of other classes.
        margin: β, in units of cosine distance, from 0 to 2.
        valid: False for an anchor without a positive, because its class has only one video; its loss is zero.

    Source: Li et al. 2017, section 3.4.2, Eq. 10.

    Example:
        >>> anchor, positive, negative = torch.eye(2)[[0, 0]], torch.eye(2)[[0, 1]], torch.eye(2)[[1, 0]]
        >>> triplet_loss(anchor, positive, negative, margin=0.5)
        tensor([0.0000, 1.5000])
    """
    loss = torch.relu(cosine_distance(anchor, positive) - cosine_distance(anchor, negative) + margin)
    return loss if valid is None else torch.where(valid, loss, torch.zeros_like(loss))
