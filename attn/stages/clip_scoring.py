"""Probabilities and attention maps of clips, in batches."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attn.eval.fusion import softmax
from attn.models.attention_distillation import ClipCnn
from attn.models.clip_input import ClipInput
from attn.schema import LOGITS
from attn.storage.store import VideoRows


class ScoredClips(NamedTuple):
    """Output of a network for clips.

    Attributes:
        logits: logits of the classes.
        attention: attention weights of each map, which add up to 1 over the cells of a time step.
    """

    logits: Float[Tensor, "clip cls"]
    attention: Float[Tensor, "clip map time row col"]


@dataclasses.dataclass(frozen=True)
class ClipAverage:
    """Probabilities of a network of clips, averaged over the clips of a video.

    Source: code of the first author of Liu et al. 2019.
    """

    name = "clip_cnn"
    columns = (LOGITS,)
    definition = "mean probabilities of all clips"
    calibrated = False

    def __call__(self, rows: VideoRows) -> np.ndarray:
        return softmax(rows.logits).mean(0)


@torch.inference_mode()
def score_clips(net: ClipCnn, taken: ClipInput, batches: Iterator[Tensor]) -> Iterator[ScoredClips]:
    """Yield the output for each batch of clips, on the device of the network.

    Args:
        net: network; switched to evaluation mode.
        taken: input of the network.
        batches: clips as stored.
    """
    net.eval()
    device, temperature = next(net.parameters()).device, net.architecture.temperature
    for clips in batches:
        logits, attention = net(taken.normalised(clips.to(device)))
        weights = torch.softmax(attention.flatten(3) / temperature, -1).view_as(attention)
        yield ScoredClips(logits, weights)
