"""Which frames of a video are kept: every S-th, or so many a second.

Each rule looks at one frame at a time and never back, so a video of any length is sampled while it is decoded.
"""

import dataclasses
import math
from collections.abc import Callable

from attn.errors import UsageError

Keep = Callable[[int, float], bool]
"""Is this frame kept? Asked once for every frame, in order, with its index and its time in seconds."""

# The coarsest stamps in use (Matroska) are rounded to the millisecond: a frame half a one from an instant stands at it.
STAMP_TOLERANCE_S = 0.00051


@dataclasses.dataclass(frozen=True)
class Stride:
    """The frames 0, S, 2S, …, whatever their times.

    Args:
        step: S, in frames.

    Source: Li et al. 2017, section 4.1 (one frame of every five).
    """

    step: int = 5

    def __post_init__(self) -> None:
        if self.step < 1:
            raise UsageError(f"--stride {self.step}: give 1 or more (1 keeps every frame)")

    def start(self) -> Keep:
        """The rule at the start of a video."""
        return lambda index, time_s: index % self.step == 0


@dataclasses.dataclass(frozen=True)
class Fps:
    """The first frame at or after each of the instants 0, 1/r, 2/r, … s.

    By time stamp, so that videos of different or variable frame rates are sampled alike. No frame is kept twice: a
    rate above the source's keeps every frame, and a still longer than 1/r counts once.

    Args:
        rate: r, in frames a second.
    """

    rate: float

    def __post_init__(self) -> None:
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise UsageError(f"--fps {self.rate:g}: give a positive number of frames a second")

    def start(self) -> Keep:
        """The rule at the start of a video."""
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
