"""Attention of a video's classes over time, as overlays draw it."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Integer

from attn.video.transform import BILINEAR, Resampling

MOST_CLASSES = 5
"""Number of classes in a time line."""


@dataclasses.dataclass(frozen=True)
class ClassTrack:
    """Attention of one class.

    Attributes:
        name: name of the class.
        score: score of the video.
        energies: energy of the map of each sampled frame, or another number that tells the classes apart.
        maps: raw maps of the sampled frames; None if only the energies are drawn.
    """

    name: str
    score: float
    energies: Float[np.ndarray, " sample"]
    maps: Float[np.ndarray, "sample row col"] | None = None


@dataclasses.dataclass(frozen=True)
class VideoTracks:
    """Attention of the classes of one video.

    Attributes:
        video_id: ID of the video.
        frame: indices of the sampled frames in the video.
        time_s: their times in seconds, increasing.
        classes: classes, the predicted one first. One or two of them have maps, or none for a method without maps.
        resampling: says which part of the frames the maps cover.
        energies_are: name of the energies.
    """

    video_id: str
    frame: Integer[np.ndarray, " sample"]
    time_s: Float[np.ndarray, " sample"]
    classes: tuple[ClassTrack, ...]
    resampling: Resampling = BILINEAR
    energies_are: str = "energy of the map"

    @functools.cached_property
    def drawn(self) -> tuple[ClassTrack, ...]:
        """Classes whose maps are drawn; without maps, the predicted one."""
        return tuple(one for one in self.classes if one.maps is not None) or self.classes[:1]

    @functools.cached_property
    def largest(self) -> float | None:
        """Largest attention of the drawn classes: the end of their colour scale, which all frames share.

        None without maps.
        """
        return max((float(one.maps.max()) for one in self.drawn if one.maps is not None), default=None)

    @functools.cached_property
    def end_s(self) -> float:
        """End of the time line: the last sampled frame counts as long as frames are usually apart."""
        steps = np.diff(self.time_s.astype(np.float64))
        return float(self.time_s[-1]) + (float(np.median(steps)) if len(steps) else 0.0)

    def maps_at(self, time_s: float) -> list[Float[np.ndarray, "row col"]]:
        """Maps of the drawn classes at a time, between 0 and 1 on their scale.

        Between two sampled frames they are interpolated linearly; before the first and after the last they are those of
        the nearest one.
        """
        times = self.time_s
        after = int(np.searchsorted(times, time_s, side="right"))
        low, high = max(after - 1, 0), min(after, len(times) - 1)
        gap = float(times[high]) - float(times[low])
        share = (time_s - float(times[low])) / gap if gap else 0.0
        scale = self.largest or 1.0
        return [
            ((1 - share) * one.maps[low].astype(np.float32) + share * one.maps[high].astype(np.float32)) / scale
            for one in self.classes
            if one.maps is not None
        ]
