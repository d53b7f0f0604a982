"""Spatial attention: logits of a frame's cells, from the frame and the state of an LSTM."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

AttentionForm = Literal["additive", "hidden", "linear"]


class AdditiveAttention(nn.Module):
    """Logits from a hidden layer that sees both the cell and the state.

        e_i = U · tanh(p_i + W_d h) + c
        p = W_c X + b,  then for l = 1 … layers - 1:  p = W_l p + b_l, with a tanh after all of these but the last

    The hidden layer is as wide as a cell has channels.

    Args:
        num_channels: D.
        hidden_dim: d, width of the state.
        layers: number of linear layers between X and p.

    Source: released code of Sharma et al. 2015; the first author recommends it over Eq. 4 of the paper.
    """

    def __init__(self, num_channels: int, hidden_dim: int, layers: int = 1):
        super().__init__()
        self.frame = nn.Linear(num_channels, num_channels)
        self.deeper = nn.ModuleList(nn.Linear(num_channels, num_channels) for _ in range(layers - 1))
        self.state = nn.Linear(hidden_dim, num_channels, bias=False)
        self.score = nn.Linear(num_channels, 1)

    def project(self, cubes: Float[Tensor, "*frame cell chan"]) -> Float[Tensor, "*frame cell chan"]:
        """Compute p, the part that does not depend on the state, for any number of frames at once."""
        projected = self.frame(cubes)
        for number, layer in enumerate(self.deeper, start=1):
            projected = layer(projected)
            if number < len(self.deeper):
                projected = torch.tanh(projected)
        return projected

    def forward(
        self, projected: Float[Tensor, "batch cell chan"], hidden: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch cell"]:
        """Attention logits of one step."""
        return self.score(torch.tanh(projected + self.state(hidden)[:, None])).squeeze(-1)


class LinearAttention(nn.Module):
    """Logits that are linear in the state, and in the cell too unless the frame is ignored.

        e_i = W_i · h                      without the frame
        e_i = W_i · h + W_c,i · X_i        with it

    Args:
        num_cells: K², number of cells.
        num_channels: D.
        hidden_dim: d, width of the state.
        with_frame: whether the current frame enters.

    Source: Sharma et al. 2015, Eq. 4, without the frame; the first author's erratum, with it.
    """

    def __init__(self, num_cells: int, num_channels: int, hidden_dim: int, *, with_frame: bool):
        super().__init__()
        self.state = nn.Linear(hidden_dim, num_cells, bias=False)
        self.frame = nn.Linear(num_channels, num_cells, bias=False) if with_frame else None

    def project(self, cubes: Float[Tensor, "*frame cell chan"]) -> Float[Tensor, "*frame cell"]:
        """Compute the part that does not depend on the state, for any number of frames at once."""
        if self.frame is None:
            return cubes.new_zeros(cubes.shape[:-1])
        return torch.einsum("...ic,ic->...i", cubes, self.frame.weight)

    def forward(
        self, projected: Float[Tensor, "batch cell"], hidden: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch cell"]:
        """Attention logits of one step."""
        return projected + self.state(hidden)


def make_attention(
    form: AttentionForm, *, num_cells: int, num_channels: int, hidden_dim: int, layers: int
) -> AdditiveAttention | LinearAttention:
    """Create the attention of one LSTM layer; `layers` counts for the additive form only."""
    if form == "additive":
        return AdditiveAttention(num_channels, hidden_dim, layers)
    return LinearAttention(num_cells, num_channels, hidden_dim, with_frame=form == "linear")
