"""Initial weights of a `SoftAttention` as in the released code: zero biases, orthogonal or small normal matrices."""

import torch
from torch import Tensor, nn

from attn.models.soft_attention import LstmLayer, SoftAttention
from attn.models.spatial_attention import AdditiveAttention

STD = 0.01
"""Standard deviation of matrices that are not orthogonal."""


@torch.no_grad()
def set_released_weights(net: SoftAttention) -> None:
    """Replace all weights by those that the released code would draw, from torch's random state.

        orthogonal        recurrent blocks of the four gates, W_l of the attention, hidden layer of the output
        orthogonal or N   blocks of W_x and W_b of the four gates, W_d, W_0, W_0': orthogonal if they are square
        N(0, 0.01²)       all other matrices, even square ones

    Forms that were not released (stacked layers, attention without a hidden layer) follow the same rules.

    Source: released code of Sharma et al. 2015. Differs: torch's QR instead of an SVD makes the orthogonal matrices.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear):
            module.weight.normal_(0, STD)
            if module.bias is not None:
                module.bias.zero_()
    _set_if_square(net.output_hidden.weight)
    for module in net.modules():
        if isinstance(module, LstmLayer):
            for gates in (module.recurrent, module.glimpse, module.below):
                for block in gates.weight.chunk(4) if gates is not None else ():
                    _set_if_square(block)
            for layer in (module.start_hidden, module.start_cell):
                _set_if_square(layer.weight)
        if isinstance(module, AdditiveAttention):
            _set_if_square(module.state.weight)
            for weight in module.deeper.parameters():
                _set_if_square(weight)


def _set_if_square(weight: Tensor) -> None:
    if weight.ndim == 2 and weight.shape[0] == weight.shape[1]:
        nn.init.orthogonal_(weight)
