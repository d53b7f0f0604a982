"""Clips of the videos of a training: frames and flow of one window, and the random choices of each clip."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from attn.stages.clips import ClipSampling, View, clip_of_flow, clip_of_frames, random_view
from attn.training.array_cache import Array
from attn.training.video_table import VideoTable

CLIP_DRAW, NOISE_DRAW = 1, 2
"""Last entries of the seeds of clips and of noise, so that their random numbers are independent."""


class Place(NamedTuple):
    """Position of a clip.

    Attributes:
        video: index of the video in the table.
        start: first frame.
        view: window and flip.
    """

    video: int
    start: int
    view: View


@dataclasses.dataclass(frozen=True)
class ClipData:
    """Frames and flow of labelled videos.

    Attributes:
        frames: frames of all videos; None if they are not used.
        flow: flow of all videos; None if it is not used.
        first_row: row of the first frame of each video of the table.
        table: table of the videos.
        sampling: selection of the frames of a clip.
    """

    frames: Array | None
    flow: Array | None
    first_row: Int[np.ndarray, "video"]
    table: VideoTable
    sampling: ClipSampling

    @property
    def size(self) -> int:
        """Side of the frames, in pixels."""
        array = self.flow if self.frames is None else self.frames
        return 0 if array is None else array.shape[2]

    def draw(self, video: int, side: int, seed: Sequence[int], *, flip: bool) -> Place:
        """Position of a training clip, which depends only on the seed and the video."""
        random = np.random.default_rng([*seed, video, CLIP_DRAW])
        start = self.sampling.random_start(int(self.table.num_frames[video]), random)
        return Place(video, start, random_view(self.size, side, random, flip=flip))

    def clips_of_frames(self, places: Sequence[Place]) -> Tensor:
        """Clips of frames [clip, rgb, time, row, col], uint8.

        Raises:
            ValueError: the frames are missing.
        """
        if self.frames is None:
            raise ValueError("no frames")
        found = [clip_of_frames(self.frames, self._rows(place)[0], place.view) for place in places]
        return torch.from_numpy(np.stack(found))

    def clips_of_flow(self, places: Sequence[Place]) -> Tensor:
        """Clips of flow [clip, chan, time, row, col], int8.

        Raises:
            ValueError: the flow is missing.
        """
        if self.flow is None:
            raise ValueError("no flow")
        found = [clip_of_flow(self.flow, *self._rows(place), place.view) for place in places]
        return torch.from_numpy(np.stack(found))

    def _rows(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the frames of a clip, and the mask of repeated ones."""
        frames, repeated = self.sampling.frames(int(self.table.num_frames[place.video]), place.start)
        return self.first_row[place.video] + frames, repeated


class ClipNoise:
    """Uniform random numbers of each clip, which do not depend on the other clips of a batch.

    Args:
        seed: seed of the batch.
        clips: number of each clip in it.
    """

    def __init__(self, seed: Sequence[int], clips: Sequence[int]) -> None:
        states = [np.random.SeedSequence([*seed, clip, NOISE_DRAW]).generate_state(1, np.uint64)[0] for clip in clips]
        self._generators = [torch.Generator().manual_seed(int(state) >> 1) for state in states]

    def __call__(self, shape: Sequence[int], *, device: torch.device) -> Tensor:
        """Return numbers of a shape [clip, …]; each call continues the sequences."""
        return torch.stack([torch.rand(*shape[1:], generator=one) for one in self._generators]).to(device)
