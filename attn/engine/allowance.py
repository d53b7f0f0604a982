"""How many videos may fail before a job says so with its exit code."""

import math


def allowed_failures(fraction: float, videos: int) -> int:
    """Whole videos that `--max-failed-fraction` lets fail; 0.29 of 100 are 29, whatever floats make of the product."""
    return math.floor(round(fraction * videos, 9))


def told_failures(failed: int, videos: int, fraction: float) -> str:
    """How a message says that more failed than may."""
    return (
        f"{failed} of {videos} videos failed, {fraction:g} of them ({allowed_failures(fraction, videos)}) are allowed"
    )
