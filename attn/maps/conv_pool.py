"""Maps for heads of a 1×1 convolution, a ReLU and average pooling (SqueezeNet), without a backward pass."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.head_layers import is_flatten, is_pointwise, pooled_cells

_CHAIN = (nn.Conv2d, nn.ReLU, nn.AdaptiveAvgPool2d)


@dataclasses.dataclass(frozen=True)
class ConvPool:
    """A head that scores every cell, sets negative scores to 0 and averages all cells.

        z_cij = Σ_k W_ck A^k_ij + b_c,   y_c = mean_ij max(z_cij, 0)
        Σ_ij ∂y_c/∂A^k_ij = W_ck · (share of the cells with z_cij > 0)

    The cost is n·K·H·W multiply-adds, as for the head itself. The logits equal those of the head up to rounding.

    Source: Selvaraju et al. 2017, Eq. 1-2, derived for this head.
    """

    weights: Float[Tensor, "cls chan"]
    bias: Float[Tensor, "cls"]

    @classmethod
    def of(cls, layers: Sequence[nn.Module], budget_bytes: int) -> "ConvPool | None":
        """Build from a head's layers; None if the head has another structure."""
        if tuple(map(type, layers[:-1])) != _CHAIN or not is_flatten(layers[-1]) or pooled_cells(layers[2:3]) != 1:
            return None
        conv = layers[0]
        if not isinstance(conv, nn.Conv2d) or not is_pointwise(conv):
            return None
        weights = conv.weight.detach().flatten(1)
        return cls(weights, weights.new_zeros(len(weights)) if conv.bias is None else conv.bias.detach())

    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Compute maps (in sum form, before the ReLU) and logits."""
        weighted = torch.matmul(self.weights, activations.flatten(2))
        scores = weighted + self.bias[:, None]
        active = (scores > 0).to(scores.dtype).mean(dim=2, keepdim=True)
        maps = (weighted * active).unflatten(2, activations.shape[2:])
        return maps, scores.relu_().mean(dim=2)
