"""Network of clips with attention maps: one map of a flow teacher; motion and appearance maps of an RGB student."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attn.models.clip_backbone import ClipBackbone, Modality

Fusion = Literal["concat", "mean"]
AttentionNoise = Literal["gumbel", "soft"]
Uniform = Callable[..., Tensor]
"""Function from a shape [clip, …] and a device to uniform random numbers, like `torch.rand`."""

MAPS: dict[int, tuple[str, ...]] = {0: (), 1: ("motion",), 2: ("motion", "appearance")}
"""Names of the maps of a network, by their number."""
WEIGHT_STD = 0.01
GUMBEL_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class ClipArchitecture:
    """Everything that decides the tensors of a `ClipCnn` and how they are used, in JSON types.

    Attributes:
        backbone: name of the backbone, see `attn.models.clip_backbone`.
        modality: rgb or flow.
        num_classes: number of classes.
        num_maps: number of attention maps. 0: average pooling. 1: one map, as in the teacher. 2: a motion map and an
            appearance map, as in the student.
        fusion: features of two maps. concat: one pooled vector per map. mean: one vector, pooled with their mean.
        attention: gumbel: attention weights are random in training, with another sample per channel. soft: they never
            are.
        temperature: τ of the attention's softmax.
        attention_kernel_t: length in time of the attention's convolution, odd.
        attention_hidden: width of a hidden convolution of the attention; 0 for none.
        hidden_layer: whether a hidden layer precedes the classifier.
        dropout: probability of dropping a unit before the classifier.
    """

    backbone: str
    modality: Modality
    num_classes: int
    num_maps: int = 2
    fusion: Fusion = "concat"
    attention: AttentionNoise = "gumbel"
    temperature: float = 1.0
    attention_kernel_t: int = 1
    attention_hidden: int = 0
    hidden_layer: bool = False
    dropout: float = 0.5


class ClipOutput(NamedTuple):
    """Output of ClipCnn.

    Attributes:
        logits: logits of the classes.
        attention: logits of the attention maps in the order of `MAPS`, without noise.
    """

    logits: Float[Tensor, "clip cls"]
    attention: Float[Tensor, "clip map time row col"]


class AttentionModule(nn.Module):
    """Attention logits from the features of block 4, at the positions of block 5.

    Args:
        channels: K4, number of channels of block 4.
        stride: ratio of the shapes of block 4 and block 5, as (time, row, col).
        kernel_t: length of the convolution in time, odd. At 1, a time stride of 2 skips every second time step.
        hidden: width of a hidden convolution; 0 for none.

    Source: `AttenLinear` of 2020aptx4869lm/Forecasting-Human-Object-Interaction-in-FPV. Differs: the width is that of
    block 4 for every backbone, not half of block 5.
    """

    def __init__(self, channels: int, stride: tuple[int, int, int], *, kernel_t: int = 1, hidden: int = 0) -> None:
        super().__init__()
        kernel = {"kernel_size": (kernel_t, 3, 3), "padding": (kernel_t // 2, 1, 1), "bias": False}
        self.hidden = nn.Conv3d(channels, hidden, **kernel) if hidden else None
        self.score = nn.Conv3d(hidden or channels, 1, stride=stride, **kernel)
        for layer in (self.hidden, self.score):
            if layer is not None:
                nn.init.normal_(layer.weight, std=WEIGHT_STD)

    def forward(
        self, early: Float[Tensor, "clip early_chan early_time early_row early_col"]
    ) -> Float[Tensor, "clip time row col"]:
        """Compute the logits."""
        return self.score(early if self.hidden is None else F.relu(self.hidden(early))).squeeze(1)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise from uniform random numbers, G = -log(-log(U + ε) + ε) with ε = 10⁻⁶.

    Source: `AttenLinear`, see `AttentionModule`.
    """
    return -torch.log(-torch.log(uniform + GUMBEL_EPSILON) + GUMBEL_EPSILON)


def attention_weights(
    logits: Float[Tensor, "clip #chan time row col"], temperature: float
) -> Float[Tensor, "clip #chan time row col"]:
    """Softmax of e / τ over the cells of each time step."""
    return torch.softmax(logits.flatten(3) / temperature, -1).view_as(logits)


def pooled(
    weights: Float[Tensor, "clip #chan time row col"], late: Float[Tensor, "clip chan time row col"]
) -> Float[Tensor, "clip chan"]:
    """Mean over time of the weighted sum over cells, mean_T Σ_HW a · x."""
    return (weights * late).sum((3, 4)).mean(2)


class ClipCnn(nn.Module):
    """Classifier of clips with attention maps.

        e_m = attention module m of block 4                    logits of map m
        a_m = softmax_HW((e_m + G_m) / τ)                      noise G_m per channel in training, 0 otherwise
        v   = mean_T Σ_HW a_m · x                              x: features of block 5
        y   = FC(dropout(v_1 … v_M))                           or pooled with the mean of all a_m

    Args:
        architecture: sizes and forms.

    Attributes:
        attentions: attention modules by the name of their map.

    Source: Liu et al. 2019, figure of the overview; noise, pooling and initial weights: `AttenLinear`; mean:
    `JointProbAtten` of the same author.
    """

    def __init__(self, architecture: ClipArchitecture) -> None:
        super().__init__()
        net = self.architecture = architecture
        self.backbone = ClipBackbone(net.backbone, net.modality)
        self.attentions = nn.ModuleDict(
            {
                name: AttentionModule(
                    self.backbone.early_channels,
                    self.backbone.stride,
                    kernel_t=net.attention_kernel_t,
                    hidden=net.attention_hidden,
                )
                for name in MAPS[net.num_maps]
            }
        )
        vectors = max(net.num_maps, 1) if net.fusion == "concat" else 1
        width, hidden = vectors * self.backbone.late_channels, self.backbone.late_channels
        self.hidden = nn.Linear(width, hidden) if net.hidden_layer else None
        self.classifier = nn.Linear(hidden if net.hidden_layer else width, net.num_classes)
        for layer in (self.hidden, self.classifier):
            if layer is not None:
                nn.init.normal_(layer.weight, std=WEIGHT_STD)
                nn.init.zeros_(layer.bias)

    @property
    def head(self) -> list[nn.Module]:
        """Parts without pretrained weights: attention modules and fully connected layers."""
        return [part for part in (self.attentions, self.hidden, self.classifier) if part is not None]

    def forward(self, clips: Float[Tensor, "clip chan time row col"], uniform: Uniform = torch.rand) -> ClipOutput:
        """Logits of the classes and of the attention maps.

        Args:
            clips: normalised clips.
            uniform: source of the random numbers in training, so that those of a clip need not depend on its batch.

        Raises:
            ValueError: the attention logits and block 5 differ in shape, as with odd lengths in backbones that pool
                without padding.
        """
        early, late = self.backbone(clips)
        maps = self._maps(early, late)
        vectors = [late.mean((2, 3, 4))]
        if maps:
            weights = [self._weights(logits, late, uniform) for logits in maps]
            if self.architecture.fusion == "mean":
                weights = [torch.stack(torch.broadcast_tensors(*weights)).mean(0)]
            vectors = [pooled(one, late) for one in weights]
        attention = torch.stack(maps, 1) if maps else late.new_zeros(len(late), 0, *late.shape[2:])
        return ClipOutput(self._classes(torch.cat(vectors, 1), uniform), attention)

    def _maps(self, early: Tensor, late: Tensor) -> list[Tensor]:
        maps = [cast("AttentionModule", module)(early) for module in self.attentions.values()]
        for logits in maps:
            if logits.shape[1:] != late.shape[2:]:
                raise ValueError(f"attention of {tuple(logits.shape[1:])} for features of {tuple(late.shape[2:])}")
        return maps

    def _weights(self, logits: Tensor, late: Tensor, uniform: Uniform) -> Tensor:
        """Attention weights, equal for all channels unless they are random."""
        logits, net = logits[:, None], self.architecture
        if self.training and net.attention == "gumbel":
            logits = logits + gumbel(uniform(late.shape, device=late.device))
        return attention_weights(logits, net.temperature)

    def _classes(self, vectors: Tensor, uniform: Uniform) -> Tensor:
        if self.hidden is not None:
            vectors = F.relu(self.hidden(vectors))
        if self.training and self.architecture.dropout:
            kept = uniform(vectors.shape, device=vectors.device) >= self.architecture.dropout
            vectors = vectors * kept / (1 - self.architecture.dropout)
        return self.classifier(vectors)
