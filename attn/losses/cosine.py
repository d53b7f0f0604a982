"""Cosine distance of embeddings, which depends on their directions but not on their lengths."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity


def cosine_distance(a: Float[Tensor, "*batch dim"], b: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
    """Cosine distance: 0 for the same direction, 1 for perpendicular, 2 for opposite embeddings.

        D(a, b) = 1 - a·b / (|a| |b|)

    Half-precision embeddings are compared in float32. An embedding of length zero has distance 1 to all others.

    Source: Li et al. 2017, section 3.4.2, Eq. 7.

    Example:
        >>> cosine_distance(torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0]]))
        tensor([0., 1., 2.])
    """
    dtype = torch.promote_types(a.dtype, torch.float32)
    return 1 - cosine_similarity(a.to(dtype), b.to(dtype), dim=-1)
