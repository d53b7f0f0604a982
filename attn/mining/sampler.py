"""Random quadruples: a frame, a false class for it, a second frame of its class, a frame of another class.

The second frame comes from another video. The samples of many updates are drawn at once, on the device and without a
Python loop over samples, from random numbers of the CPU. The samples of an update depend only on the seed and the
number of the update: a resumed training on any device, or one shared by several workers, draws the same samples as an
uninterrupted one on one worker.
"""

import dataclasses

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

UPDATES_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Quadruples:
    """Samples of the joint loss, as indices: the branches are (F,c_fa), (F,c_gt), (F+,c+), (F-,c-).

    Attributes:
        rows: rows of the four frames; F+ is from the video of F if its class has no other video.
        classes: class whose map of the frame is used.
        has_positive: whether the class has another video.
    """

    rows: Int[Tensor, "branch *sample"]
    classes: Int[Tensor, "branch *sample"]
    has_positive: Bool[Tensor, "*sample"]

    def __getitem__(self, index: int | slice | Tensor) -> "Quadruples":
        """Some of the samples, selected along the first sample axis."""
        return Quadruples(self.rows[:, index], self.classes[:, index], self.has_positive[index])


class QuadrupleSampler:
    """Draw quadruples from the frames of labelled videos.

    A class is drawn first, then one of its videos, then one of the video's frames, so that neither long videos nor
    large classes are drawn more often. The false class is any other class, with or without videos; F- is a frame of any
    other class that has videos.

    Args:
        labels: class IDs of the videos, sorted, so that the videos of a class are contiguous.
        num_frames: number of frames of each video, one or more; the rows of the videos follow each other.
        num_classes: number of classes, n.
        samples: number of samples per update.
        seed: seed of all draws.

    Raises:
        ValueError: the videos have only one class, or are not sorted.

    Source: Li et al. 2017, sections 3.4.1 and 3.4.2.
    Differs: the paper does not say how anchors are drawn.
    """

    def __init__(
        self,
        labels: Int[Tensor, "video"],
        num_frames: Int[Tensor, "video"],
        *,
        num_classes: int,
        samples: int,
        seed: int,
    ):
        if (labels.diff() < 0).any() or (num_frames < 1).any():
            raise ValueError("videos must be sorted by class and have frames")
        self._present, self._videos_of = labels.unique_consecutive(return_counts=True)
        if len(self._present) < 2:
            raise ValueError("quadruples need videos of at least two classes")
        self._first_video_of = self._videos_of.cumsum(0) - self._videos_of
        self._num_frames, self._first_row = num_frames, num_frames.cumsum(0) - num_frames
        self._num_classes, self._samples, self._seed = num_classes, samples, seed
        self._generator = torch.Generator()  # on the CPU, because a GPU draws other numbers from the same seed

    def block(self, number: int) -> Quadruples:
        """Samples of `UPDATES_AT_ONCE` updates, indexed by update and sample.

        Args:
            number: number of the block, from 0.
        """
        state = np.random.SeedSequence([self._seed, number]).generate_state(1, np.uint64)
        self._generator.manual_seed(int(state[0]))
        chance = torch.rand((9, UPDATES_AT_ONCE, self._samples), generator=self._generator, dtype=torch.float64)
        return self._quadruples(chance.to(self._present.device, non_blocking=True))

    def _quadruples(self, chance: Tensor) -> Quadruples:
        place = _below(chance[0], len(self._present))
        true_class, videos = self._present[place], self._videos_of[place]
        first, video = self._first_video_of[place], _below(chance[1], videos)
        # One of the other videos: indices from this video on move up by one.
        other = _below(chance[2], (videos - 1).clamp(min=1))
        other = torch.where(videos > 1, other + (other >= video), video)
        far_place = _other(chance[3], place, len(self._present))
        far_video = self._first_video_of[far_place] + _below(chance[4], self._videos_of[far_place])
        anchor = self._frame(first + video, chance[5])
        positive, negative = self._frame(first + other, chance[6]), self._frame(far_video, chance[7])
        false_class = _other(chance[8], true_class, self._num_classes)
        return Quadruples(
            rows=torch.stack([anchor, anchor, positive, negative]),
            classes=torch.stack([false_class, true_class, true_class, self._present[far_place]]),
            has_positive=videos > 1,
        )

    def _frame(self, video: Tensor, chance: Tensor) -> Tensor:
        return self._first_row[video] + _below(chance, self._num_frames[video])


def _below(chance: Tensor, count: Tensor | int) -> Tensor:
    """Uniform integer from 0 to count - 1, from a random number in [0, 1)."""
    return (chance * count).long()


def _other(chance: Tensor, number: Tensor, count: int) -> Tensor:
    """Uniform integer from 0 to count - 1 except `number`, from a random number in [0, 1)."""
    drawn = _below(chance, count - 1)
    return drawn + (drawn >= number)
