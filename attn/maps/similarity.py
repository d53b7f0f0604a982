"""Maps by similarity: cosine of the embedding of each cell and the weights of each class.

They need no gradient. The embeddings are those of a zero-shot classifier, whose weights are text embeddings.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def similarity_maps(
    cells: Float[Tensor, "batch dim row col"], weights: Float[Tensor, "cls dim"]
) -> Float[Tensor, "batch cls row col"]:
    """Compute the maps of all classes.

        L(F, c)_ij = max(0, cos(z_ij, W_c))

    Args:
        cells: embedding z of each cell.
        weights: weights of the linear layer, one row per class, of any length.

    Example:
        >>> cells = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # two cells with two dimensions
        >>> similarity_maps(cells, torch.tensor([[5.0, 0.0]]))
        tensor([[[[1., 0.]]]])
    """
    similar = normalize(weights, dim=1) @ normalize(cells, dim=1).flatten(2)
    return similar.unflatten(2, cells.shape[2:]).relu()
