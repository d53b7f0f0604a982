"""Videos whose class is in the motion only: no single frame tells it, by construction.

The pose of an actor runs up and down between two ends at constant speeds, which are the class. The share of the way
from the lower to the upper end is therefore uniform over a period, for every class. Classes come in pairs of twins: a
video of the second class has the frames of a video of the first in reverse order, camera and noise included. Beside
the actor stands a still figure in a pose of the same distribution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from attn.synthetic.actions import FRONT_VIEW, SIDE_VIEW, Role
from attn.synthetic.camera import Camera, random_camera
from attn.synthetic.clip import DRAWN_HEIGHT, DRAWN_WIDTH, FEWEST_FRAMES, HEIGHT, MOST_FRAMES, WIDTH, Group
from attn.synthetic.figure import Box
from attn.synthetic.photograph import POSE_SPREAD
from attn.synthetic.pose import Pose, blend, jitter
from attn.synthetic.shift import DomainShift, Range
from attn.synthetic.staging import SUPERSAMPLING, Actor, Stage, draw_actors

MOTIONS: tuple[str, ...] = ("Snatch", "Drop", "Lift", "Lower")
"""Class names; those at 2 p and 2 p + 1 are each other's time reversal."""
PERIODS = (13.0, 28.0)
"""Length of a period of each pair, in frames."""
QUICK = 0.25
"""Share of a period in which the first class of a pair goes up; it goes down in the rest."""
FIGURE: Range = (0.52, 0.64)
"""Body height, as a share of the picture's height."""
APART: Range = (0.68, 0.8)
"""Distance of both figures, in body heights."""

MOVES = (
    Role(
        Pose(0, 150, 168, -150, -168, near_thigh=10, near_shin=4, far_thigh=-10, far_shin=-4),
        Pose(0, 64, 70, -64, -70, near_thigh=10, near_shin=4, far_thigh=-10, far_shin=-4),
        breadth=FRONT_VIEW,
    ),
    Role(
        Pose(-14, -38, -16, 44, 70, near_thigh=84, near_shin=80, far_thigh=-4, far_shin=-6),
        Pose(-4, -14, 0, 16, 28, near_thigh=18, near_shin=12, far_thigh=-4, far_shin=-6),
        breadth=SIDE_VIEW,
    ),
    Role(
        Pose(0, near_upper_arm=128, near_forearm=140, far_upper_arm=118, far_forearm=132),
        Pose(44, near_upper_arm=40, near_forearm=36, far_upper_arm=34, far_forearm=30),
        breadth=SIDE_VIEW,
    ),
)
"""Movements: both arms, a leg, and the trunk. Any of them occurs in every class."""


def share_up(phase: float) -> float:
    """Share of the way to the upper end at a phase, with a period of 2π.

    In the first class of a pair, it rises from 0 to 1 in the first `QUICK` of a period and falls in the rest. At a
    random phase it is uniform.
    """
    done = phase / (2 * pi) % 1
    return done / QUICK if done < QUICK else (1 - done) / (1 - QUICK)


@dataclass(frozen=True)
class MotionClip:
    """One video before its frames are drawn.

    Attributes:
        group: place and people.
        role: movement of the actor.
        still: pose of the figure beside the actor, as a role.
        still_share: share of the way to its upper end.
        stages: positions of the actor and of the still figure.
        n_frames: number of frames.
        phase: phase of the first frame.
        period: length of a period, in frames.
        camera: camera.
        reverse: whether the video has its frames in reverse order.
    """

    group: Group
    role: Role
    still: Role
    still_share: float
    stages: tuple[Stage, Stage]
    n_frames: int
    phase: float
    period: float
    camera: Camera
    reverse: bool

    def frames(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], Box]]:
        """Yield every frame `[row, col, channel]` with the box around its actor, in pixels of the frame."""
        drawn = [self._frame(frame, rng) for frame in range(self.n_frames)]
        yield from reversed(drawn) if self.reverse else drawn

    def _frame(self, frame: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Box]:
        dx, dy = (round(share * DRAWN_HEIGHT) for share in self.camera.offset(frame))
        left, top = self.group.margin - dx, self.group.margin - dy
        picture = self.group.world.crop((left, top, left + DRAWN_WIDTH, top + DRAWN_HEIGHT))
        draw = ImageDraw.Draw(picture, "RGBA")
        acting, still = (stage.moved(dx, dy) for stage in self.stages)
        draw_actors(draw, still, [_figure(self.still, self.still_share, self.group, 1)])
        share = share_up(self.phase + 2 * pi * frame / self.period)
        box = draw_actors(draw, acting, [_figure(self.role, share, self.group, 0)])
        inside = np.clip(np.divide(box, SUPERSAMPLING), 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
        return self.camera.record(picture.reduce(SUPERSAMPLING), rng), Box(*inside.tolist())


def make_motion_clip(class_id: int, group: Group, rng: np.random.Generator, shift: DomainShift) -> MotionClip:
    """Draw a video at random. With equal random states, twins differ in the order of their frames only.

    Args:
        class_id: index in `MOTIONS`.
        group: place and people.
        rng: random generator.
        shift: constants of camera and light.
    """
    pair, second = divmod(class_id, 2)
    height = DRAWN_HEIGHT * rng.uniform(*FIGURE)
    apart = height * rng.uniform(*APART) * rng.choice((-1, 1))
    ground = DRAWN_HEIGHT * rng.uniform(0.84, 0.95)
    middle = DRAWN_WIDTH / 2 + rng.uniform(-0.04, 0.04) * DRAWN_HEIGHT
    first, other = (Stage(middle + side * apart / 2, ground, height, int(rng.choice((-1, 1)))) for side in (-1, 1))
    role, still = (_varied(MOVES[rng.integers(len(MOVES))], rng) for _ in range(2))
    return MotionClip(
        group=group,
        role=role,
        still=still,
        still_share=float(rng.random()),
        stages=(first, other),
        n_frames=int(rng.integers(FEWEST_FRAMES, MOST_FRAMES + 1)),
        phase=float(rng.uniform(0, 2 * pi)),
        period=PERIODS[pair] * rng.uniform(0.9, 1.1),
        camera=random_camera(rng, shift),
        reverse=bool(second),
    )


def _varied(role: Role, rng: np.random.Generator) -> Role:
    peak, back = jitter(role.peak, rng, POSE_SPREAD), jitter(role.back, rng, POSE_SPREAD)
    return Role(peak, back, breadth=role.breadth)


def _figure(role: Role, share: float, group: Group, look: int) -> Actor:
    return Actor(role, group.looks[look], blend(role.back, role.peak, share))
