"""Soft-attention LSTM: at every step, an expectation over the cells of a frame enters a recurrent network."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from attn.models.spatial_attention import AdditiveAttention, AttentionForm, LinearAttention, make_attention

Pooling = Literal["attention", "average", "max"]
DepthForm = Literal["per_layer", "top", "bottom"]
DropoutSites = Literal["all", "output"]
DropoutForm = Literal["inverted", "released"]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the tensors of a `SoftAttention` and how they are used, in JSON types.

    Attributes:
        num_classes: number of classes.
        num_channels: D, channels of a cell.
        num_cells: K², cells of a frame.
        pooling: source of the LSTM's input. attention: the expectation. average, max: the mean or maximum over cells.
        attention: form of the attention logits, see `attn.models.spatial_attention`.
        attention_layers: layers between a cell and its additive logits.
        lstm_layers: number of stacked LSTM layers.
        depth_form: per_layer: each layer has its own attention. top, bottom: only the lowest layer has one, driven by
            the hidden state of the topmost or of the lowest layer.
        hidden_dim: d, width of the LSTM and of the hidden layer of the output.
        multi_label: whether a window may have several classes, so that outputs are sigmoids instead of a softmax.
        dropout: probability of dropping a unit.
        dropout_sites: all: non-recurrent connections. output: before and after the hidden layer of the output only.
        dropout_form: inverted: kept units are scaled up in training. released: units are scaled down in evaluation.
    """

    num_classes: int
    num_channels: int
    num_cells: int
    pooling: Pooling = "attention"
    attention: AttentionForm = "additive"
    attention_layers: int = 1
    lstm_layers: int = 1
    depth_form: DepthForm = "per_layer"
    hidden_dim: int = 512
    multi_label: bool = False
    dropout: float = 0.5
    dropout_sites: DropoutSites = "all"
    dropout_form: DropoutForm = "inverted"


class Frames(NamedTuple):
    """Everything about frames that does not depend on the state of the LSTM.

    Attributes:
        values: feature cubes [*frame, cell, chan], or [*frame, chan] if they are pooled.
        mean: mean over the cells [*frame, chan].
        projected: results of the attentions' `project`, one per attention.
    """

    values: Tensor
    mean: Tensor
    projected: tuple[Tensor, ...]

    def select(self, rows: Int[Tensor, "*batch"]) -> "Frames":
        """Frames by their index in the first dimension."""
        return Frames(self.values[rows], self.mean[rows], tuple(one[rows] for one in self.projected))

    def steps(self) -> "Iterator[Frames]":
        """Frames of each step, from frames [batch, step]."""
        # Unlike indexing in a loop, unbind has one backward pass for all steps.
        parts = (self.values, self.mean, *self.projected)
        for values, mean, *projected in zip(*(part.unbind(1) for part in parts), strict=True):
            yield Frames(values, mean, tuple(projected))


class Unrolled(NamedTuple):
    """Output of SoftAttention.

    Attributes:
        logits: logits of every step.
        attention: attention weights of every step, in the topmost layer that has an attention; None if pooled.
    """

    logits: Float[Tensor, "batch step cls"]
    attention: Float[Tensor, "batch step cell"] | None


class LstmLayer(nn.Module):
    """One LSTM layer with its initial state, and with an attention if it takes a glimpse of the frame itself.

        (i, f, o, g) = (σ, σ, σ, tanh)(W_h h + b + W_x x + W_b h_below)
        c' = f c + i g,   h' = o tanh(c')
        h_0 = tanh(W_0 μ + b_0),   c_0 = tanh(W_0' μ + b_0')

    Args:
        net: architecture of the network.
        number: number of the layer, from 0 for the lowest.
    """

    def __init__(self, net: Architecture, number: int):
        super().__init__()
        width, channels = net.hidden_dim, net.num_channels
        glimpses = number == 0 or net.depth_form == "per_layer"
        self.recurrent = nn.Linear(width, 4 * width)
        self.glimpse = nn.Linear(channels, 4 * width, bias=False) if glimpses else None
        self.below = nn.Linear(width, 4 * width, bias=False) if number else None
        self.start_hidden, self.start_cell = nn.Linear(channels, width), nn.Linear(channels, width)
        self.attention = None
        if glimpses and net.pooling == "attention":
            self.attention = make_attention(
                net.attention,
                num_cells=net.num_cells,
                num_channels=channels,
                hidden_dim=width,
                layers=net.attention_layers,
            )

    def start(self, mean: Float[Tensor, "batch chan"]) -> tuple[Tensor, Tensor]:
        """Initial hidden state and cell state, from the mean feature μ of the window."""
        return torch.tanh(self.start_hidden(mean)), torch.tanh(self.start_cell(mean))

    def forward(
        self, state: tuple[Tensor, Tensor], glimpse: Tensor | None, below: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Hidden state and cell state after one step."""
        hidden, cell = state
        gates = self.recurrent(hidden)
        for layer, values in ((self.glimpse, glimpse), (self.below, below)):
            if layer is not None:
                gates = gates + layer(values)
        i, f, o, g = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell


class SoftAttention(nn.Module):
    """LSTM over the feature cubes of a window of frames, with one prediction per step.

        l_t = softmax over cells of the attention logits of h_{t-1} and X_t
        x_t = Σ_i l_{t,i} X_{t,i}
        h_t = LSTM(h_{t-1}, x_t)
        logits_t = W_y tanh(W_o h_t + b_o) + b_y

    Args:
        architecture: sizes and forms; `forward` accepts cubes of these sizes only.

    Source: Sharma, Kiros, Salakhutdinov 2015, section 3. Differs: the default is the released code's attention and
    depth; the released code drops units at the output only, and adds 1e-8 to probabilities before their logarithm.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        self.layers = nn.ModuleList(LstmLayer(architecture, number) for number in range(architecture.lstm_layers))
        self.output_hidden = nn.Linear(architecture.hidden_dim, architecture.hidden_dim)
        self.output = nn.Linear(architecture.hidden_dim, architecture.num_classes)

    def forward(self, cubes: Float[Tensor, "batch step cell chan"]) -> Unrolled:
        """Logits and attention weights of windows."""
        frames = self.prepare(cubes)
        return self.unroll(frames.steps(), frames.mean.mean(1))

    def prepare(self, cubes: Float[Tensor, "*frame cell chan"]) -> Frames:
        """Compute everything that does not depend on the state, with one matrix product for all frames."""
        pooling, mean = self.architecture.pooling, cubes.mean(-2)
        if pooling != "attention":
            return Frames(mean if pooling == "average" else cubes.amax(-2), mean, ())
        return Frames(cubes, mean, tuple(one.project(cubes) for one in self._attentions))

    def unroll(self, steps: Iterable[Frames], mean: Float[Tensor, "batch chan"]) -> Unrolled:
        """Run the recurrent part.

        Args:
            steps: frames [batch] of each step, in order; at least one.
            mean: μ, mean feature over steps and cells.
        """
        states = [layer.start(mean) for layer in self._stack]
        hidden, weights = [], []
        for frames in steps:
            weights.append(self._step(frames, states))
            hidden.append(states[-1][0])
        logits = self._logits(torch.stack(hidden, dim=1))
        return Unrolled(logits, torch.stack(weights, dim=1) if self._attentions else None)

    def probabilities(self, logits: Float[Tensor, "*batch cls"]) -> Float[Tensor, "*batch cls"]:
        """Probabilities of the classes: a softmax, or sigmoids if windows may have several classes."""
        return torch.sigmoid(logits) if self.architecture.multi_label else torch.softmax(logits, dim=-1)

    @property
    def _stack(self) -> list[LstmLayer]:
        return cast("list[LstmLayer]", list(self.layers))

    @property
    def _attentions(self) -> list[AdditiveAttention | LinearAttention]:
        return [layer.attention for layer in self._stack if layer.attention is not None]

    def _step(self, frames: Frames, states: list[tuple[Tensor, Tensor]]) -> Tensor | None:
        """Advance all states by one step, from the lowest layer to the topmost; return the last attention weights."""
        weights = None
        for number, layer in enumerate(self._stack):
            glimpse = None
            if layer.attention is not None:
                # Only the lowest layer attends in the form `top`, so the topmost state is still that of the last step.
                driver = states[-1 if self.architecture.depth_form == "top" else number][0]
                weights = torch.softmax(layer.attention(frames.projected[number], driver), dim=-1)
                glimpse = self._dropped((weights[:, None] @ frames.values).squeeze(1))
            elif layer.glimpse is not None:
                glimpse = self._dropped(frames.values)
            below = self._dropped(states[number - 1][0]) if number else None
            states[number] = layer(states[number], glimpse, below)
        return weights

    def _logits(self, hidden: Float[Tensor, "batch step hidden"]) -> Float[Tensor, "batch step cls"]:
        inner = torch.tanh(self.output_hidden(self._dropped(hidden, output=True)))
        return self.output(self._dropped(inner, output=True))

    def _dropped(self, values: Tensor, *, output: bool = False) -> Tensor:
        """Drop units, with a new mask per step."""
        net = self.architecture
        if net.dropout_sites == "output" and not output:
            return values
        kept = F.dropout(values, net.dropout, self.training)
        # The released form is the inverted one times 1 - p, both in training and in evaluation.
        return kept * (1 - net.dropout) if net.dropout_form == "released" else kept
