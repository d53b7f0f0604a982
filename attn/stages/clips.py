"""Clips of videos: their frames, and one crop and flip for frames and flow alike.

This module imports neither torch nor Ray.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int8, Shaped, UInt8

SIDE_CROPS = 3
"""Number of crops of a wide test: left, middle and right."""


@dataclasses.dataclass(frozen=True)
class ClipSampling:
    """Selection of the frames of a clip.

    Attributes:
        length: number of frames of a clip.
        step: distance of its frames, in frames of the video.
        jitter: share of the possible first frames, around the middle, from which a training clip's is drawn: 1 for any
            of them, 0 for the clip in the middle.
    """

    length: int
    step: int
    jitter: float = 1.0

    @property
    def span(self) -> int:
        """Number of frames of a video from the first to the last frame of a clip."""
        return (self.length - 1) * self.step + 1

    def random_start(self, num_frames: int, random: np.random.Generator) -> int:
        """First frame of a training clip; 0 in a video that is too short for more than one clip."""
        last = max(num_frames - self.span, 0)
        return int((0.5 + self.jitter * (random.random() - 0.5)) * (last + 1))

    def uniform_starts(self, num_frames: int, count: int) -> list[int]:
        """First frames of test clips at equal distances, from the first possible one to the last.

        A single clip is the one in the middle. A short video has as many as there are different ones.
        """
        last = max(num_frames - self.span, 0)
        places = np.linspace(0, last, count) if count > 1 else [last / 2]
        return sorted({round(float(place)) for place in places})

    def frames(self, num_frames: int, start: int) -> tuple[Int[np.ndarray, "time"], Bool[np.ndarray, "time"]]:
        """Frames of a clip, and the mask of those that repeat the last one of a short video."""
        wanted = start + self.step * np.arange(self.length)
        return np.minimum(wanted, num_frames - 1), wanted >= num_frames


def clip_starts(num_frames: int, sampling: ClipSampling, every: int) -> list[int]:
    """First frames of the clips in a clip store: 0, every, … as far as clips end in the video.

    A video that is shorter than a clip has only the first one, which repeats its last frame.
    """
    return list(range(0, num_frames - sampling.span + 1, every)) or [0]


@dataclasses.dataclass(frozen=True)
class View:
    """Window and flip of a clip.

    Attributes:
        top: first row of the window, in pixels.
        left: first column of the window.
        side: side of the window.
        mirrored: whether the window is flipped left to right.
    """

    top: int
    left: int
    side: int
    mirrored: bool = False

    def of(self, images: Shaped[np.ndarray, "time row col *chan"]) -> Shaped[np.ndarray, "time side side *chan"]:
        """Window of images."""
        window = images[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return window[:, :, ::-1] if self.mirrored else window


def random_view(size: int, side: int, random: np.random.Generator, *, flip: bool) -> View:
    """View of a training clip.

    Args:
        size: side of the frames, in pixels.
        side: side of the window, at most `size`.
        random: random generator.
        flip: whether half of the views are mirrored.
    """
    top, left = (int(place) for place in random.integers(0, size - side, size=2, endpoint=True))
    return View(top, left, side, mirrored=bool(random.random() < 0.5) and flip)


def scored_views(size: int, side: int, crops: int) -> list[View]:
    """Views of a test clip: the middle, or the left, the middle and the right, without equal ones."""
    middle, last = (size - side) // 2, size - side
    lefts = (0, middle, last) if crops == SIDE_CROPS else (middle,)
    return [View(middle, left, side) for left in dict.fromkeys(lefts)]


def clip_of_frames(
    images: UInt8[np.ndarray, "row height width rgb"], rows: Int[np.ndarray, "time"], view: View
) -> UInt8[np.ndarray, "rgb time side side"]:
    """Cut a clip of frames.

    Args:
        images: frames of all videos.
        rows: rows of the clip's frames.
        view: window and flip.
    """
    return np.ascontiguousarray(view.of(images[rows]).transpose(3, 0, 1, 2))


def clip_of_flow(
    flow: Int8[np.ndarray, "row chan height width"],
    rows: Int[np.ndarray, "time"],
    repeated: Bool[np.ndarray, "time"],
    view: View,
) -> Int8[np.ndarray, "chan time side side"]:
    """Cut the clip of the flow that belongs to a clip of frames.

    The flow at a frame is that to the next one. In a mirrored clip the horizontal component changes its sign. A frame
    that is only repeated has flow 0, because nothing moves while it stands still.

    Args:
        flow: flow of all frames, horizontal component first, from -127 to 127.
        rows: rows of the clip's frames.
        repeated: mask of frames that repeat the last one, see `ClipSampling.frames`.
        view: window and flip.
    """
    own = flow[rows]
    own[repeated] = 0
    horizontal, vertical = (view.of(own[:, axis]) for axis in (0, 1))
    return np.stack([-horizontal if view.mirrored else horizontal, vertical])


@dataclasses.dataclass(frozen=True)
class ScoredClip:
    """A clip of a test.

    Attributes:
        video: index of the video.
        start: first frame.
        view: window.
    """

    video: int
    start: int
    view: View


def scored_clips(
    num_frames: Sequence[int], sampling: ClipSampling, *, clips: int, crops: int, size: int, side: int
) -> list[ScoredClip]:
    """Clips of a test of some videos, video by video; a video without frames has none.

    Args:
        num_frames: number of frames of each video.
        sampling: selection of the frames of a clip.
        clips: number of clips of a video.
        crops: number of windows of a clip, 1 or 3.
        size: side of the frames, in pixels.
        side: side of the windows.
    """
    views = scored_views(size, side, crops)
    return [
        ScoredClip(video, start, view)
        for video, count in enumerate(num_frames)
        if count
        for start, view in itertools.product(sampling.uniform_starts(count, clips), views)
    ]
