"""Input of networks of clips: pixels and flow as stored, normalised on the device of the network."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from attn.models.clip_backbone import KINETICS_MEAN, KINETICS_STD
from attn.models.network_input import Rgb

LARGEST_FLOW = 127
"""Stored value of the largest flow."""


@dataclasses.dataclass(frozen=True)
class ClipInput:
    """Input of a network of clips.

    Attributes:
        length: number of frames of a clip.
        step: distance of its frames, in rows of the store.
        size: side of the stored frames, in pixels.
        crop: side of the window of the network, in pixels.
        preprocessing: preprocessing of the frames, as in the manifest of a store.
        sampling: selection of the frames of a video, as in the manifest.
        mean: mean of each channel, for images in 0-1; unused for flow.
        std: standard deviation of each channel; unused for flow.
    """

    length: int
    step: int
    size: int
    crop: int
    preprocessing: str
    sampling: dict[str, Any]
    mean: Rgb = KINETICS_MEAN
    std: Rgb = KINETICS_STD

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of a clip."""
        return self.length, self.crop, self.crop

    def normalised(self, clips: Shaped[Tensor, "clip chan time row col"]) -> Float[Tensor, "clip chan time row col"]:
        """Normalise clips as stored: (x - 255 mean) / (255 std) for pixels (uint8), x / 127 for flow (int8).

        Source: the range of flow, from -1 to 1, is that of the I3D flow network.
        """
        if clips.dtype == torch.int8:
            return clips.float() / LARGEST_FLOW
        mean, std = (torch.tensor(one, device=clips.device).view(3, 1, 1, 1) * 255 for one in (self.mean, self.std))
        return clips.float().sub_(mean).div_(std)
