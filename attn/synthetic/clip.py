"""One video: people stand or walk, act, and continue; small, off centre, amid clutter, seen by a poor camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, pi

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from attn.synthetic.actions import ACTIONS, BY_NAME, Role
from attn.synthetic.camera import Camera, random_camera
from attn.synthetic.figure import Box, Look, random_look
from attn.synthetic.photograph import POSE_SPREAD
from attn.synthetic.pose import Pose, blend, jitter, walking
from attn.synthetic.scenes import VIDEO_SCENES, paint_scene, scatter
from attn.synthetic.shift import DomainShift
from attn.synthetic.staging import SUPERSAMPLING, Actor, Stage, draw_actors, outline

WIDTH, HEIGHT, FPS = 160, 120, 25
DRAWN_WIDTH, DRAWN_HEIGHT = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
FEWEST_FRAMES, MOST_FRAMES = 40, 60
RAMP_FRAMES = 5  # transition from standing to acting
STRIDE_FRAMES = 22
PACE = 0.018  # walking speed in body heights per frame
APART = 0.22  # step back, in body heights, of people who only stand, so that they do not touch
TALLEST = 1.08  # largest height of a figure with long limbs, relative to the average
GROUND = 0.55  # row at which the ground begins, as a share of the height


@dataclass(frozen=True)
class Group:
    """Place and people that the clips of a group share (a group of UCF101 is cut from one recording)."""

    world: Image.Image
    """Background in drawn pixels, with a margin for the motion of the camera."""
    margin: int
    looks: tuple[Look, Look, Look]


@dataclass(frozen=True)
class Clip:
    """One video before its frames are drawn."""

    group: Group
    roles: tuple[Role, ...]
    stage: Stage
    bystander: Stage | None
    n_frames: int
    start: int
    stop: int
    walks: bool
    period: float
    camera: Camera
    ramp: float = RAMP_FRAMES
    """Length of the transitions between standing and acting, in frames."""
    reach: float = inf
    """Distance that people walk away before they turn round, in body heights."""

    def frames(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], Box]]:
        """Yield every frame `[row, col, channel]` with the box around its actors, in pixels of the frame."""
        for frame in range(self.n_frames):
            yield self.frame(frame, rng)

    def frame(self, at: float, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Box]:
        """Return the frame at an instant, in frames from the start, and the box around its actors."""
        picture, box = self._draw(at)
        inside = np.clip(np.divide(box, SUPERSAMPLING), 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
        return self.camera.record(picture.reduce(SUPERSAMPLING), rng), Box(*inside.tolist())

    def acting(self, frame: float) -> float:
        """Return the share of the action in a frame's pose: 0 before and after the action, 1 during it."""
        return min(1.0, max(0.0, min(frame - self.start, self.stop - frame) / self.ramp))

    def _draw(self, frame: float) -> tuple[Image.Image, Box]:
        dx, dy = (round(share * DRAWN_HEIGHT) for share in self.camera.offset(frame))
        left, top = self.group.margin - dx, self.group.margin - dy
        picture = self.group.world.crop((left, top, left + DRAWN_WIDTH, top + DRAWN_HEIGHT))
        draw = ImageDraw.Draw(picture, "RGBA")
        if self.bystander is not None:
            draw_actors(draw, self.bystander.moved(dx, dy), [Actor(Role(Pose(), Pose()), self.group.looks[2], Pose())])
        return picture, draw_actors(draw, self.stage.moved(dx, dy), self._actors(frame))

    def _actors(self, frame: float) -> list[Actor]:
        done, phase = self.acting(frame), 2 * pi * (frame - self.start) / self.period
        way = max(self.start - frame, frame - self.stop, 0) * PACE if self.walks else 0.0
        outward = way % (2 * self.reach) < self.reach  # to and fro, if the time is long enough
        walked = way % self.reach if outward else self.reach - way % self.reach
        idle = walking(2 * pi * frame / STRIDE_FRAMES) if self.walks else Pose()
        leaving = self.walks and way > 0 and outward == (frame > self.stop)
        return [
            Actor(role, look, blend(idle, role.pose(phase), done), walked + APART * (1 - done), leaving)
            for role, look in zip(self.roles, self.group.looks, strict=False)
        ]


def make_group(rng: np.random.Generator, shift: DomainShift) -> Group:
    """Draw a place, its clutter and three people at random."""
    margin = ceil(shift.drift * DRAWN_HEIGHT)
    size = DRAWN_WIDTH + 2 * margin, DRAWN_HEIGHT + 2 * margin
    ground_row = round(GROUND * size[1])
    world = paint_scene(VIDEO_SCENES[rng.integers(len(VIDEO_SCENES))], size, ground_row, rng)
    scatter(world, int(rng.integers(shift.clutter[0], shift.clutter[1] + 1)), ground_row, rng)
    return Group(world, margin, (random_look(rng), random_look(rng), random_look(rng)))


def make_clip(class_id: int, group: Group, rng: np.random.Generator, shift: DomainShift) -> Clip:
    """Draw a video of the action with 40 to 60 frames at random."""
    action = BY_NAME[ACTIONS[class_id]]
    n_frames = int(rng.integers(FEWEST_FRAMES, MOST_FRAMES + 1))
    acting = round(n_frames * rng.uniform(*shift.decided))
    start = int(rng.integers(0, n_frames - acting + 1))
    stage = _stage(ACTIONS[class_id], rng, shift)
    return Clip(
        group=group,
        roles=tuple(_varied(role, rng) for role in action.roles),
        stage=stage,
        bystander=_beside(stage, rng) if rng.random() < shift.bystander else None,
        n_frames=n_frames,
        start=start,
        stop=start + acting,
        walks=bool(rng.random() < 0.5),
        period=action.period * rng.uniform(0.85, 1.2),
        camera=random_camera(rng, shift),
    )


def _varied(role: Role, rng: np.random.Generator) -> Role:
    peak, back = jitter(role.peak, rng, POSE_SPREAD), jitter(role.back, rng, POSE_SPREAD)
    return Role(peak, back, role.x, role.facing, role.breadth)


def _stage(name: str, rng: np.random.Generator, shift: DomainShift) -> Stage:
    """Draw the position of the action near the middle, so that all of it is in the picture."""
    facing, room = int(rng.choice((-1, 1))), outline(name)
    height = DRAWN_HEIGHT * rng.uniform(*shift.video_figure)
    tall = TALLEST * height
    left, right = sorted((facing * room.left * tall, facing * room.right * tall))
    x = DRAWN_WIDTH / 2 + rng.uniform(-1, 1) * shift.video_offset * DRAWN_HEIGHT
    ground = DRAWN_HEIGHT * rng.uniform(GROUND + 0.12, 0.97)
    return Stage(min(max(x, -left), DRAWN_WIDTH - right), max(ground, -room.top * tall), height, facing)


def _beside(stage: Stage, rng: np.random.Generator) -> Stage:
    """Draw the position of a bystander on the side with more room, a little farther back."""
    side = -1 if stage.x > DRAWN_WIDTH / 2 else 1
    apart = side * stage.height * rng.uniform(0.65, 1.0)
    return Stage(stage.x + apart, stage.ground - 0.06 * stage.height, stage.height * 0.92, -side)
