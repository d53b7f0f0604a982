"""Untrimmed video whose segments are known, because every frame is written together with its label."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction

from attn.datasets.segments import Segment
from attn.datasets.thumos14 import AMBIGUOUS
from attn.storage.location import Location
from attn.synthetic.encode import Picture, write_mp4

IDLE = ""
"""Label of frames that show no action."""
RAMP_S = 0.4
"""Length of a transition between an action and idle time in seconds; its frames are Ambiguous."""

RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30))
"""Frame rates of videos in frames per second: those of THUMOS14, in which they differ from video to video."""

LabelledFrame = tuple[str, Picture]
"""Class name, `IDLE` or `AMBIGUOUS`, and the picture."""


@dataclasses.dataclass(frozen=True)
class AnnotatedVideo:
    """Facts about one written video.

    Attributes:
        video_id: name of the file without its extension.
        fps: frames per second.
        num_frames: number of frames.
        segments: actions; a segment ends when the first frame after it is shown.
        ambiguous: transitions between an action and idle time.
    """

    video_id: str
    fps: Fraction
    num_frames: int
    segments: tuple[Segment, ...]
    ambiguous: tuple[Segment, ...]

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds."""
        return float(self.num_frames / self.fps)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that the video shows, sorted; empty for a background video."""
        return tuple(sorted({one.label for one in self.segments}))


def write_annotated(
    url: str, video_id: str, frames: Iterable[LabelledFrame], fps: Fraction, rate_factor: int
) -> AnnotatedVideo | None:
    """Write an MP4 file frame by frame, and return what it shows and when; None, and no file, without frames.

    Args:
        url: URL of the file, local or remote.
        video_id: ID of the video.
        frames: labelled frames, all of the same even width and height. Neighbours with equal labels are one segment.
        fps: frames per second.
        rate_factor: loss of the codec, see `write_mp4`.
    """
    runs: list[tuple[str, int]] = []
    with Location.at(url).atomic_path() as path:
        write_mp4(path, _recorded(frames, runs), fps, rate_factor)
    stops = list(itertools.accumulate(count for _, count in runs))
    if not stops:
        return None
    found = [
        Segment(video_id, label, float((stop - count) / fps), float(stop / fps))
        for (label, count), stop in zip(runs, stops, strict=True)
        if label != IDLE
    ]
    segments = tuple(one for one in found if one.label != AMBIGUOUS)
    ambiguous = tuple(one for one in found if one.label == AMBIGUOUS)
    return AnnotatedVideo(video_id, fps, stops[-1], segments, ambiguous)


def _recorded(frames: Iterable[LabelledFrame], runs: list[tuple[str, int]]) -> Iterator[Picture]:
    """Yield the pictures, and count the frames of each run of equal labels."""
    for label, run in itertools.groupby(frames, key=lambda one: one[0]):
        runs.append((label, 0))
        for _, picture in run:
            runs[-1] = (label, runs[-1][1] + 1)
            yield picture
