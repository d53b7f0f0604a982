"""Sampling of frames: every S-th frame, or a number of frames per second.

Each rule decides on one frame at a time and never looks back, so a video of any length is sampled while it is decoded.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from attn.errors import UsageError

Keep = Callable[[int, float], bool]
"""Function that returns whether a frame is sampled. It is called once for every frame, in order, with its index and its
time in seconds."""

# The coarsest stamps in use (Matroska) are rounded to milliseconds: a frame half a millisecond early is on time.
STAMP_TOLERANCE_S = 0.00051


@dataclasses.dataclass(frozen=True)
class Stride:
    """Frames 0, S, 2S, …, regardless of their times.

    Args:
        step: S, in frames.

    Source: Li et al. 2017, section 4.1 (one frame of every five).
    """

    step: int = 5

    def __post_init__(self) -> None:
        if self.step < 1:
            raise UsageError(f"--stride {self.step}: too small. Give 1 or more; 1 keeps every frame.")

    def start(self) -> Keep:
        """Return the rule for a new video."""
        return lambda index, time_s: index % self.step == 0


@dataclasses.dataclass(frozen=True)
class Fps:
    """First frame at or after each of the instants 0, 1/r, 2/r, … s.

    The rule uses time stamps, so that videos with different or variable frame rates are sampled alike. A frame is
    sampled at most once: a rate above that of the video selects every frame, and a picture shown for longer than 1/r
    counts once.

    Args:
        rate: r, in frames per second.
    """

    rate: float

    def __post_init__(self) -> None:
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise UsageError(f"--fps {self.rate:g}: out of range. Give a number of frames per second above 0.")

    def start(self) -> Keep:
        """Return the rule for a new video."""
        due = 0

        def keep(index: int, time_s: float) -> bool:
            nonlocal due
            reached = math.floor((time_s + STAMP_TOLERANCE_S) * self.rate)
            if reached < due:
                return False
            due = reached + 1
            return True

        return keep


Sampling = Stride | Fps


def sampling_of(record: Mapping[str, Any]) -> Sampling:
    """Rule of a manifest's record, see `sampling_record`."""
    return Fps(float(record["fps"])) if "fps" in record else Stride(int(record["stride"]))


def sampling_record(sampling: Sampling) -> dict[str, float]:
    """Record of a rule for a manifest: its name and its number."""
    return {type(sampling).__name__.lower(): dataclasses.astuple(sampling)[0]}
