"""Pose of a body as ten numbers, and the positions of its joints.

Lengths are in body heights, x forward, y downward, with the origin on the ground between the feet. Angles are in
degrees from hanging straight down, forward positive. Each limb's angle is absolute: a forearm at 90 points forward at
any angle of the upper arm, so poses are interpolated by interpolating the numbers.
"""

import math
from typing import NamedTuple

import numpy as np

TRUNK, UPPER_ARM, FOREARM, THIGH, SHIN = 0.31, 0.165, 0.165, 0.24, 0.24
NECK, FOOT_RADIUS = 0.115, 0.03  # shoulder line to the centre of the head; sole to ankle

Point = tuple[float, float]
Limb = tuple[Point, Point, Point]


class Pose(NamedTuple):
    """Angles of one figure. The defaults are those of a figure at ease."""

    lean: float = 0.0
    """Tilt of the trunk."""
    near_upper_arm: float = -6.0
    near_forearm: float = 6.0
    far_upper_arm: float = -10.0
    far_forearm: float = 2.0
    near_thigh: float = 6.0
    near_shin: float = 3.0
    far_thigh: float = -6.0
    far_shin: float = -8.0
    lift: float = 0.0
    """Height of the lower foot above the ground, in body heights."""


class Skeleton(NamedTuple):
    """Joints of a posed figure; a limb runs from shoulder or hip outwards."""

    head: Point
    neck: Point
    hip: Point
    near_arm: Limb
    far_arm: Limb
    near_leg: Limb
    far_leg: Limb


def blend(start: Pose, end: Pose, share: float) -> Pose:
    """Interpolate two poses: `start` at share 0, `end` at share 1."""
    return Pose(*(a + (b - a) * share for a, b in zip(start, end, strict=True)))


def jitter(pose: Pose, rng: np.random.Generator, degrees: float) -> Pose:
    """Return the pose with random changes to every angle, because people differ.

    Args:
        pose: pose to change.
        rng: random generator.
        degrees: standard deviation of the changes.
    """
    offsets = rng.normal(0.0, degrees, len(pose) - 1)
    return Pose(*(angle + float(offset) for angle, offset in zip(pose[:-1], offsets, strict=True)), lift=pose.lift)


def walking(phase: float) -> Pose:
    """Return the pose of a walking figure, with one stride per 2π of phase."""
    swing, back = math.sin(phase), math.cos(phase)
    return Pose(
        lean=3.0,
        near_upper_arm=-18.0 * swing,
        near_forearm=-18.0 * swing + 10.0,
        far_upper_arm=18.0 * swing,
        far_forearm=18.0 * swing + 10.0,
        near_thigh=18.0 * swing,
        near_shin=18.0 * swing - 16.0 * max(0.0, back),
        far_thigh=-18.0 * swing,
        far_shin=-18.0 * swing - 16.0 * max(0.0, -back),
    )


def skeleton(pose: Pose, breadth: float) -> Skeleton:
    """Return the joints of a pose, with the lower foot `lift` above the ground.

    Args:
        pose: pose of the figure.
        breadth: visible distance between the shoulders, in body heights: 0 from the side, about 0.2 from the front.
    """
    near_leg = _limb((0.3 * breadth, 0.0), pose.near_thigh, pose.near_shin, THIGH, SHIN)
    far_leg = _limb((-0.3 * breadth, 0.0), pose.far_thigh, pose.far_shin, THIGH, SHIN)
    rise = -pose.lift - FOOT_RADIUS - max(near_leg[2][1], far_leg[2][1])
    trunk = _step((0.0, rise), 180.0 - pose.lean, TRUNK)
    shoulders = [(trunk[0] + side * breadth / 2, trunk[1] + 0.02) for side in (1, -1)]
    return Skeleton(
        head=_step(trunk, 180.0 - pose.lean, NECK),
        neck=trunk,
        hip=(0.0, rise),
        near_arm=_limb(shoulders[0], pose.near_upper_arm, pose.near_forearm, UPPER_ARM, FOREARM),
        far_arm=_limb(shoulders[1], pose.far_upper_arm, pose.far_forearm, UPPER_ARM, FOREARM),
        near_leg=_raised(near_leg, rise),
        far_leg=_raised(far_leg, rise),
    )


def _limb(root: Point, upper: float, lower: float, upper_length: float, lower_length: float) -> Limb:
    middle = _step(root, upper, upper_length)
    return root, middle, _step(middle, lower, lower_length)


def _step(point: Point, angle: float, length: float) -> Point:
    radians = math.radians(angle)
    return point[0] + length * math.sin(radians), point[1] + length * math.cos(radians)


def _raised(limb: Limb, rise: float) -> Limb:
    a, b, c = ((x, y + rise) for x, y in limb)
    return a, b, c
