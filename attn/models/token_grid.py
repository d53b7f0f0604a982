"""Tokens of a vision transformer as a grid of activations, and back.

Patch tokens become rows and columns. Prefix tokens (class token, registers) follow as further channels, equal in all
cells, because the blocks behind the grid need them.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Grid = Float[Tensor, "batch chan row col"]


def join_tokens(
    patches: Float[Tensor, "batch dim row col"], prefix: Float[Tensor, "batch token dim"]
) -> Float[Tensor, "batch chan row col"]:
    """Append the channels of all prefix tokens to those of the patch tokens."""
    return torch.cat((patches, prefix.flatten(1)[..., None, None].expand(-1, -1, *patches.shape[2:])), dim=1)


def part_tokens(grid: Grid, prefix: int, *, detach: bool) -> Float[Tensor, "batch token dim"]:
    """Restore the tokens of `join_tokens`, prefix tokens first.

    Args:
        grid: activations.
        prefix: number of prefix tokens.
        detach: leave the prefix tokens out of gradients, so that their channels add nothing to Grad-CAM.
    """
    channels = grid.shape[1] // (1 + prefix)
    patches = grid[:, :channels].flatten(2).transpose(1, 2)
    before = grid[:, channels:, 0, 0].unflatten(1, (prefix, channels))
    return torch.cat((before.detach() if detach else before, patches), dim=1)


def differentiable_attention() -> Any:
    """Attention as plain matrix products. The fused kernels cannot be differentiated for many classes at once."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)
