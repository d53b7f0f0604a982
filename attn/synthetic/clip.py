"""One video: people stand or walk, act, and go on; small, off centre, before clutter, through a poor camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from attn.synthetic.actions import ACTIONS, BY_NAME, Role
from attn.synthetic.figure import Box, Look, random_look
from attn.synthetic.photograph import POSE_SPREAD
from attn.synthetic.pose import Pose, blend, jitter, walking
from attn.synthetic.scenes import VIDEO_SCENES, paint_scene, scatter
from attn.synthetic.shift import DomainShift
from attn.synthetic.staging import SUPERSAMPLING, Actor, Stage, draw_actors, outline

WIDTH, HEIGHT, FPS = 160, 120, 25
RAMP = 5.0  # frames from standing to acting
PACE = 0.018  # body heights per frame, walking
APART = 0.22  # step back of people who only stand, in body heights: they do not touch
GROUND = 0.55  # where the ground begins, share of the height


@dataclass(frozen=True)
class Group:
    """What the clips of one group share: the place and the people (UCF101's groups are cut from one recording)."""

    world: Image.Image
    """Background in drawn pixels, with a margin for the camera to move in."""
    margin: int
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Clip:
    """One video before its frames are drawn."""

    group: Group
    roles: tuple[Role, ...]
    stage: Stage
    n_frames: int
    start: int
    stop: int
    walks: bool
    period: float
    bystander: Stage | None
    sway: tuple[float, float]
    lens: "Lens"
    quantiser: int

    def frames(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], Box]]:
        """Every frame `[row, col, channel]` with the box around its actors, in the frame's pixels."""
        for frame in range(self.n_frames):
            picture, box = self._draw(frame)
            clipped = np.clip(np.divide(box, SUPERSAMPLING), 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
            yield self.lens.record(picture.reduce(SUPERSAMPLING), rng), Box(*clipped.tolist())

    def acting(self, frame: int) -> float:
        """How much of the action is done at a frame: 0 before and after it, 1 during it."""
        return min(1.0, max(0.0, (frame - self.start) / RAMP, 0.0), max(0.0, (self.stop - frame) / RAMP))

    def _draw(self, frame: int) -> tuple[Image.Image, Box]:
        dx, dy = (self.group.margin * sin(2 * pi * frame / 90 + phase) for phase in self.sway)
        left, top = round(self.group.margin + dx), round(self.group.margin + dy)
        size = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
        picture = self.group.world.crop((left, top, left + size[0], top + size[1]))
        draw = ImageDraw.Draw(picture, "RGBA")
        if self.bystander is not None:
            idle = Actor(Role(Pose(), Pose()), self.group.looks[-1], Pose())
            draw_actors(draw, self.bystander.moved(-dx, -dy), [idle])
        box = draw_actors(draw, self.stage.moved(-dx, -dy), self._actors(frame))
        return picture, box

    def _actors(self, frame: int) -> list[Actor]:
        done, phase = self.acting(frame), 2 * pi * (frame - self.start) / self.period
        away = max(self.start - frame, frame - self.stop, 0) * PACE if self.walks else 0.0
        idle = walking(2 * pi * frame / 22) if self.walks else Pose()
        turned = self.walks and frame > self.stop
        return [
            Actor(role, look, blend(idle, role.pose(phase), done), away + APART * (1 - done), turned)
            for role, look in zip(self.roles, self.group.looks, strict=False)
        ]


@dataclass(frozen=True)
class Lens:
    """What the camera does to every frame of a video."""

    blur: float
    noise: float
    exposure: float

    def record(self, picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The frame as recorded, before compression."""
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(self.blur)), np.float32)
        grain = rng.standard_normal(soft.shape, np.float32) * np.float32(self.noise)
        return np.clip(soft * np.float32(self.exposure) + grain, 0, 255).astype(np.uint8)


def make_group(rng: np.random.Generator, shift: DomainShift) -> Group:
    """A place, its clutter, and three people."""
    margin = round(shift.drift * HEIGHT * SUPERSAMPLING)
    size = WIDTH * SUPERSAMPLING + 2 * margin, HEIGHT * SUPERSAMPLING + 2 * margin
    ground_row = round(GROUND * size[1])
    world = paint_scene(VIDEO_SCENES[rng.integers(len(VIDEO_SCENES))], size, ground_row, rng)
    scatter(world, int(rng.integers(shift.clutter[0], shift.clutter[1] + 1)), ground_row, rng)
    return Group(world, margin, tuple(random_look(rng) for _ in range(3)))


def make_clip(class_id: int, group: Group, rng: np.random.Generator, shift: DomainShift) -> Clip:
    """A video of the action, 40 to 60 frames."""
    action = BY_NAME[ACTIONS[class_id]]
    n_frames = int(rng.integers(40, 61))
    acting = round(n_frames * rng.uniform(*shift.decided))
    start = int(rng.integers(0, n_frames - acting + 1))
    stage = _stage(ACTIONS[class_id], rng, shift)
    return Clip(
        group=group,
        roles=tuple(_varied(role, rng) for role in action.roles),
        stage=stage,
        n_frames=n_frames,
        start=start,
        stop=start + acting,
        walks=bool(rng.random() < 0.5),
        period=action.period * rng.uniform(0.85, 1.2),
        bystander=_beside(stage, rng) if rng.random() < shift.bystander else None,
        sway=(float(rng.uniform(0, 2 * pi)), float(rng.uniform(0, 2 * pi))),
        lens=Lens(rng.uniform(*shift.blur), rng.uniform(*shift.noise), rng.uniform(*shift.exposure)),
        quantiser=int(rng.integers(shift.quantiser[0], shift.quantiser[1] + 1)),
    )


def _varied(role: Role, rng: np.random.Generator) -> Role:
    peak, back = jitter(role.peak, rng, POSE_SPREAD), jitter(role.back, rng, POSE_SPREAD)
    return Role(peak, back, role.x, role.facing, role.breadth)


def _stage(name: str, rng: np.random.Generator, shift: DomainShift) -> Stage:
    """Anywhere about the middle where the whole action is on the picture."""
    width, high = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
    facing, room = int(rng.choice((-1, 1))), outline(name)
    height = high * rng.uniform(*shift.video_figure)
    left, right = sorted((facing * room.left * height, facing * room.right * height))
    x = width / 2 + rng.uniform(-1, 1) * shift.video_offset * high
    ground = high * rng.uniform(GROUND + 0.12, 0.97)
    return Stage(min(max(x, -left), width - right), max(ground, -room.top * height), height, facing)


def _beside(stage: Stage, rng: np.random.Generator) -> Stage:
    """Off to the side with more room, a little farther back."""
    side = -1 if stage.x > WIDTH * SUPERSAMPLING / 2 else 1
    apart = side * stage.height * rng.uniform(0.65, 1.0)
    return Stage(stage.x + apart, stage.ground - 0.06 * stage.height, stage.height * 0.92, -side)
