"""Scores of whole videos by a TSRNet, and the attention over their samples."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attn.models.tsrnet import Tsrnet
from attn.schema import FEATURES
from attn.stages.segments import Stream
from attn.stages.time_samples import NumSamples, uniform_samples
from attn.storage.store import VideoRows


@dataclasses.dataclass(frozen=True)
class TsrnetScore:
    """Class probabilities of a TSRNet at uniform samples of a video.

    Args:
        net: trained network.
        num_samples: number of samples.

    Source: Zhang et al. 2019.
    """

    net: Tsrnet
    num_samples: NumSamples
    name = "tsrnet"
    columns = (FEATURES,)
    calibrated = False

    @property
    def definition(self) -> str:
        samples = "all frames" if self.num_samples == "all" else f"{self.num_samples} samples"
        if self.net.architecture.attention == "average":
            return f"probabilities for the mean features of {samples}"
        return f"probabilities for the mean features of {samples}, weighted by attention"

    def __call__(self, rows: VideoRows) -> np.ndarray:
        features = rows.tensors[FEATURES]
        return self.stream(features[uniform_samples(len(features), self.num_samples)]).scores

    @torch.inference_mode()
    def stream(self, features: Float[np.ndarray, "sample chan"]) -> Stream:
        """Probabilities and attention for the samples of a video."""
        logits, attention = self.net(self._tensor(features)[None])
        return Stream(logits[0].softmax(0).cpu().numpy(), attention[0].cpu().numpy())

    def attention(self, rows: VideoRows) -> Float[np.ndarray, "frame"] | None:
        """Attention weight of each frame of a video; NaN for frames that are not sampled.

        None for a network that weights all samples equally.
        """
        if self.net.architecture.attention == "average":
            return None
        features = rows.tensors[FEATURES]
        samples, weights = uniform_samples(len(features), self.num_samples), np.full(len(features), np.nan, np.float32)
        weights[samples] = self.stream(features[samples]).attention  # samples of one frame have equal weights
        return weights

    @torch.inference_mode()
    def probabilities(self, rows: VideoRows) -> Float[np.ndarray, "frame cls"]:
        """Probabilities of each frame by itself, sampled or not."""
        return self.net.classify_alone(self._tensor(rows.tensors[FEATURES])).softmax(1).cpu().numpy()

    def _tensor(self, features: Float[np.ndarray, "sample chan"]) -> Tensor:
        like = self.net.classify.weight
        return torch.tensor(features).to(like.device).to(like.dtype)
