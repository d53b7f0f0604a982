"""One Web image: the decisive moment, large, central and sharp, in front of little clutter."""

import numpy as np
from PIL import Image, ImageDraw

from attn.synthetic.actions import ACTIONS, BY_NAME
from attn.synthetic.figure import random_look
from attn.synthetic.pose import jitter
from attn.synthetic.scenes import WEB_SCENES, paint_scene, scatter
from attn.synthetic.shift import DomainShift
from attn.synthetic.staging import SUPERSAMPLING, Actor, Stage, draw_actors, outline

POSE_SPREAD = 5.0
"""Standard deviation of joint angles between people, in degrees."""


def photograph(class_id: int, rng: np.random.Generator, shift: DomainShift) -> Image.Image:
    """Render an image of the action, 144 to 192 pixels wide and 136 to 168 high."""
    name = ACTIONS[class_id]
    size = int(rng.integers(144, 193)), int(rng.integers(136, 169))
    image = _background(class_id, size, rng, shift)
    stage = _stage(name, image.size, rng, shift)
    phase = rng.normal(0.0, 0.5)
    actors = [Actor(role, random_look(rng), jitter(role.pose(phase), rng, POSE_SPREAD)) for role in BY_NAME[name].roles]
    draw_actors(ImageDraw.Draw(image, "RGBA"), stage, actors[:: rng.choice((-1, 1))])
    return image.reduce(SUPERSAMPLING)


def _background(class_id: int, size: tuple[int, int], rng: np.random.Generator, shift: DomainShift) -> Image.Image:
    """Paint the background at low resolution and enlarge it, so that it is softer than the people."""
    own = rng.random() < shift.own_scene
    scene = WEB_SCENES[class_id if own else rng.integers(len(WEB_SCENES))]
    ground_row = int(size[1] * rng.uniform(0.55, 0.8))
    painted = paint_scene(scene, size, ground_row, rng)
    scatter(painted, int(rng.integers(shift.image_clutter[0], shift.image_clutter[1] + 1)), ground_row, rng)
    return painted.resize((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), Image.Resampling.BILINEAR)


def _stage(name: str, size: tuple[int, int], rng: np.random.Generator, shift: DomainShift) -> Stage:
    """Scale the action so that all of it fits into the central square, as a photographer would frame it."""
    room, square = outline(name), min(size)
    wide, tall = room.right - room.left, room.bottom - room.top
    height = min(rng.uniform(*shift.image_figure) * square, 0.96 * square / max(wide, tall))
    facing = int(rng.choice((-1, 1)))
    dx, dy = rng.uniform(-1, 1, 2) * shift.image_offset * square
    middle_x, middle_y = facing * (room.left + room.right) / 2, (room.top + room.bottom) / 2
    return Stage(size[0] / 2 + dx - middle_x * height, size[1] / 2 + dy - middle_y * height, height, facing)
