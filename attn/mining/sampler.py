"""Random quadruples: a frame, a false class for it, a frame of another video of its class, one of another class.

The samples of many updates are made at once, on the device, without a Python loop over samples, from random numbers
of the CPU. What is drawn for an update depends on seed and update alone: a training that is resumed, on whatever
device, or shared by several workers, draws what an unbroken one on one worker would have drawn.
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
        rows: of the four frames; F+ is of the video of F where the class has no other.
        classes: whose map of the frame it is.
        has_positive: whether there is another video of the class.
    """

    rows: Int[Tensor, "branch *sample"]
    classes: Int[Tensor, "branch *sample"]
    has_positive: Bool[Tensor, "*sample"]

    def __getitem__(self, index: int | slice | Tensor) -> "Quadruples":
        """Some of them, by their first axis."""
        return Quadruples(self.rows[:, index], self.classes[:, index], self.has_positive[index])


class QuadrupleSampler:
    """Draws quadruples of the frames of labelled videos.

    A class is drawn first, then one of its videos, then one of its frames, so that neither long videos nor large
    classes are seen more often. The false class is any other class, with or without videos; F- is a frame of any other
    class that has some.

    Args:
        labels: class ids of the videos, sorted: the videos of a class stand together.
        num_frames: of the videos, one or more; the rows of the videos follow each other.
        num_classes: n.
        samples: drawn for one update.
        seed: of all draws.

    Raises:
        ValueError: the videos are of one class alone, or not sorted.

    Source: Li et al. 2017, sections 3.4.1 and 3.4.2. Differs: the paper does not say how anchors are drawn.
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
            raise ValueError("quadruples need videos of two classes")
        self._first_video_of = self._videos_of.cumsum(0) - self._videos_of
        self._num_frames, self._first_row = num_frames, num_frames.cumsum(0) - num_frames
        self._num_classes, self._samples, self._seed = num_classes, samples, seed
        self._generator = torch.Generator()  # of the CPU: a GPU's draws other numbers from the same seed

    def block(self, number: int) -> Quadruples:
        """The samples of `UPDATES_AT_ONCE` updates, by update and sample.

        Args:
            number: of the block, from 0.
        """
        state = np.random.SeedSequence([self._seed, number]).generate_state(1, np.uint64)
        self._generator.manual_seed(int(state[0]))
        chance = torch.rand((9, UPDATES_AT_ONCE, self._samples), generator=self._generator, dtype=torch.float64)
        return self._quadruples(chance.to(self._present.device, non_blocking=True))

    def _quadruples(self, chance: Tensor) -> Quadruples:
        place = _below(chance[0], len(self._present))
        true_class, videos = self._present[place], self._videos_of[place]
        first, video = self._first_video_of[place], _below(chance[1], videos)
        # One of the other videos: those after this one move down by one.
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
    """A number from 0 to count - 1, all equally likely, from one in [0, 1)."""
    return (chance * count).long()


def _other(chance: Tensor, number: Tensor, count: int) -> Tensor:
    """A number from 0 to count - 1 that is not the given one, all equally likely."""
    drawn = _below(chance, count - 1)
    return drawn + (drawn >= number)
