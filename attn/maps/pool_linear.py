"""Maps for heads of pooling and one linear layer (ResNet, MobileNet, DenseNet, …), without a backward pass."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.head_layers import apply, is_flatten, is_pointwise, pooled_cells, split_pooling


@dataclasses.dataclass(frozen=True)
class PoolLinear:
    """A head whose gradient is equal for all images: the weights of its linear layer.

        Σ_ij ∂y_c/∂A^k_ij = W_ck,   or Σ_pq W_c,kpq if pooling leaves P×Q cells of a map

    The bias is excluded, because it belongs to no position of the image. The cost is one matrix product of n·K·H·W
    multiply-adds.

    Source: Zhou et al. 2016 (CAM), section 2; equal to Selvaraju et al. 2017, Eq. 1-2, for these heads.
    """

    layers: Sequence[nn.Module]
    weights: Float[Tensor, "cls chan"]

    @classmethod
    def of(cls, layers: Sequence[nn.Module], budget_bytes: int) -> "PoolLinear | None":
        """Build from a head's layers; None if the head has another structure."""
        pooling, rest = split_pooling(layers)
        cells = pooled_cells(pooling)
        if cells is None or len(rest) != 2:
            return None
        first, last = rest
        if cells == 1 and isinstance(first, nn.Conv2d) and is_pointwise(first) and is_flatten(last):
            return cls(layers, first.weight.detach().flatten(1))  # a linear layer before Flatten instead of after it
        if not is_flatten(first) or type(last) is not nn.Linear:
            return None
        return cls(layers, channel_sums(last, cells))

    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Compute maps (in sum form, before the ReLU) and logits."""
        maps = torch.matmul(self.weights, activations.flatten(2)).unflatten(2, activations.shape[2:])
        return maps, apply(self.layers, activations)


def channel_sums(linear: nn.Linear, cells: int) -> Float[Tensor, "out chan"]:
    """Weights of a linear layer that follows a flattened map, summed over the map's cells."""
    return linear.weight.detach().unflatten(1, (-1, cells)).sum(dim=2)
