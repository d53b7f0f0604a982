"""Maps behind a 1×1 convolution, a ReLU and average pooling (SqueezeNet): the convolution itself, no gradient."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attn.maps.head_layers import is_flatten, pooled_cells

_CHAIN = (nn.Conv2d, nn.ReLU, nn.AdaptiveAvgPool2d)


@dataclasses.dataclass(frozen=True)
class ConvPool:
    """A head that scores every cell, drops the negative scores and averages the rest.

        z_cij = Σ_k W_ck A^k_ij + b_c,   y_c = mean_ij max(z_cij, 0)
        Σ_ij ∂y_c/∂A^k_ij = W_ck · (share of the cells with z_cij > 0)

    n·K·H·W multiply-adds, as many as the head itself takes. The logits are those of the head up to rounding.

    Source: Selvaraju et al. 2017, Eq. 1-2, worked out for this head.
    """

    weights: Float[Tensor, "cls chan"]
    bias: Float[Tensor, "cls"]

    @classmethod
    def of(cls, layers: Sequence[nn.Module], budget_bytes: int) -> "ConvPool | None":
        """Of this head, if it is one."""
        if tuple(map(type, layers[:-1])) != _CHAIN or not is_flatten(layers[-1]) or pooled_cells(layers[2:3]) != 1:
            return None
        conv = layers[0]
        if not isinstance(conv, nn.Conv2d) or not _is_pointwise(conv):
            return None
        weights = conv.weight.detach().flatten(1)
        return cls(weights, weights.new_zeros(len(weights)) if conv.bias is None else conv.bias.detach())

    def __call__(
        self, activations: Float[Tensor, "batch chan row col"]
    ) -> tuple[Float[Tensor, "batch cls row col"], Float[Tensor, "batch cls"]]:
        """Maps in sum form before the ReLU, and logits."""
        weighted = torch.matmul(self.weights, activations.flatten(2))
        scores = weighted + self.bias[:, None]
        active = (scores > 0).to(scores.dtype).mean(dim=2, keepdim=True)
        maps = (weighted * active).unflatten(2, activations.shape[2:])
        return maps, scores.relu_().mean(dim=2)


def _is_pointwise(conv: nn.Conv2d) -> bool:
    plain = (conv.stride, conv.padding, conv.groups) == ((1, 1), (0, 0), 1)
    return plain and conv.kernel_size == (1, 1)
