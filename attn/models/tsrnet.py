"""TSRNet: self-attention over the samples of a video, and a classifier of their weighted mean.

    a = softmax(w₂ tanh(W₁ X)) over time,    m = X aᵀ,    s = softmax(FC2(ReLU(FC1(m))))

The attention of an untrimmed video shows when its actions happen. Without it (`average`), the network is the paper's
Two-Stream baseline; with it, but trained without transfer, its SRNet.

Source: Zhang et al. 2019, "Learning Transferable Self-attentive Representations for Action Recognition in Untrimmed
Videos with Weak Supervision".
"""

import dataclasses
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

TimeAttention = Literal["softmax", "sigmoid", "average"]

CLASSIFIER = "classify"
"""Name of the layer whose size depends on the classes, FC2."""


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the tensors of a `Tsrnet` and how they are used, in JSON types.

    Attributes:
        num_classes: number of classes.
        num_channels: d, features of a sample.
        attention: softmax: weights that add up to 1. sigmoid: weights between 0 and 1. average: equal weights.
        attention_dim: d_a, width of the hidden layer of the attention.
        hidden_dim: width of FC1.
    """

    num_classes: int
    num_channels: int
    attention: TimeAttention = "softmax"
    attention_dim: int = 256
    hidden_dim: int = 512


class Attended(NamedTuple):
    """Samples of videos, summarised by their attention.

    Attributes:
        attention: a, weights of the samples; 0 for padding.
        mean: m, the input of FC1.
        hidden: ReLU(FC1(m)), the input of FC2 before dropout.
    """

    attention: Float[Tensor, "video sample"]
    mean: Float[Tensor, "video chan"]
    hidden: Float[Tensor, "video hidden"]


class Tsrnet(nn.Module):
    """TSRNet of one stream, RGB or flow. Differs: W₁ and w₂ have no bias, as in the equations.

    Args:
        architecture: sizes and form of the network.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture, net = architecture, architecture
        attends = net.attention != "average"
        self.project = nn.Linear(net.num_channels, net.attention_dim, bias=False) if attends else None
        self.weigh = nn.Linear(net.attention_dim, 1, bias=False) if attends else None
        self.reduce = nn.Linear(net.num_channels, net.hidden_dim)
        self.classify = nn.Linear(net.hidden_dim, net.num_classes)

    def attend(
        self, features: Float[Tensor, "video sample chan"], real: Bool[Tensor, "video sample"] | None = None
    ) -> Attended:
        """Summarise the samples of videos.

        Sigmoid weights are averaged, m = (1/n) Σ a_i x_i, so that m does not grow with the number of samples.

        Args:
            features: features of the samples.
            real: mask of the samples that are not padding; each video has at least one. Default: all.
        """
        real = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device) if real is None else real
        counts = real.sum(1, keepdim=True)
        if self.project is None or self.weigh is None:
            attention = mean_weights = real / counts
        else:
            logits = self.weigh(torch.tanh(self.project(features))).squeeze(-1)
            if self.architecture.attention == "softmax":
                attention = mean_weights = logits.masked_fill(~real, -torch.inf).softmax(1)
            else:
                attention = logits.sigmoid() * real
                mean_weights = attention / counts
        mean = torch.einsum("vs,vsc->vc", mean_weights.to(features.dtype), features)
        return Attended(attention, mean, self.reduce(mean).relu())

    def classify_alone(self, features: Float[Tensor, "sample chan"]) -> Float[Tensor, "sample cls"]:
        """Return the logits of each sample by itself, as of a video that has no other."""
        return self.classify(self.reduce(features).relu())

    def forward(
        self, features: Float[Tensor, "video sample chan"], real: Bool[Tensor, "video sample"] | None = None
    ) -> tuple[Float[Tensor, "video cls"], Float[Tensor, "video sample"]]:
        """Return logits and attention weights, without dropout. Arguments are those of `attend`."""
        attended = self.attend(features, real)
        return self.classify(attended.hidden), attended.attention
