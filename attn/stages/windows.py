"""Windows of consecutive frames, the samples of a sequence model.

This module does not import torch, because plans are made without it.
"""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows of several videos, whose frames are consecutive rows of one array.

    Attributes:
        video: index of the video that a window is from.
        first_row: row of its first frame.
        taken: number of its frames that exist; a short video repeats the last one.
        frames: T, number of frames of a window.
        skip: distance of its frames, in rows.
    """

    video: Int[np.ndarray, "window"]
    first_row: Int[np.ndarray, "window"]
    taken: Int[np.ndarray, "window"]
    frames: int
    skip: int

    @classmethod
    def of(
        cls,
        num_frames: Int[np.ndarray, "video"],
        *,
        frames: int,
        stride: int,
        skip: int,
        first_row: Int[np.ndarray, "video"] | None = None,
    ) -> "Windows":
        """Find the windows of each video.

            starts of a video of N frames: 0, stride, … up to N - T · skip, or only 0 if N is smaller than T · skip

        A video without frames has no window.

        Args:
            num_frames: N of each video, in the order of the rows.
            frames: T, number of frames of a window.
            stride: distance of the first frames of two windows, in rows.
            skip: distance of the frames of a window, in rows.
            first_row: row of the first frame of each video. Default: the videos follow each other from row 0.

        Source: released code of Sharma et al. 2015.
        """
        counts = np.maximum(num_frames - frames * skip, 0) // stride + 1
        counts[num_frames == 0] = 0
        video = np.repeat(np.arange(len(num_frames)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.cumsum(num_frames) - num_frames if first_row is None else first_row
        taken = np.minimum((num_frames[video] - 1) // skip + 1, frames)
        return cls(video, starts[video] + stride * place, taken, frames, skip)

    def __len__(self) -> int:
        return len(self.video)

    def rows(self, windows: Int[np.ndarray, "some"] | slice) -> Int[np.ndarray, "some step"]:
        """Rows of the frames of some windows, in order."""
        places = np.minimum(np.arange(self.frames), self.taken[windows][:, None] - 1)
        return self.first_row[windows][:, None] + self.skip * places


def shuffled(count: int, *, epoch: int, seed: int) -> Int[np.ndarray, "window"]:
    """Order of the windows in an epoch, equal on all machines."""
    return np.random.default_rng((seed, epoch)).permutation(count)
