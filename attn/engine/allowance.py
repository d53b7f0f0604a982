"""Limit on failed videos from `--max-failed-fraction`."""

import math


def allowed_failures(fraction: float, videos: int) -> int:
    """Maximum number of failed videos, rounded down; 0.29 of 100 is 29 despite floating-point error."""
    return math.floor(round(fraction * videos, 9))


def told_failures(failed: int, videos: int, fraction: float) -> str:
    """Message for more failed videos than allowed."""
    return (
        f"{failed} of {videos} videos failed, at most {allowed_failures(fraction, videos)} are allowed "
        f"(a share of {fraction:g})"
    )
