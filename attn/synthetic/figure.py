"""Drawing of one figure: thick limbs, trunk and head in the colours of its look, and the box around it."""

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import ImageDraw

from attn.synthetic.pose import Limb, Point, Skeleton

Colour = tuple[int, int, int]

_SKIN = ((241, 205, 176), (224, 178, 140), (186, 132, 94), (141, 92, 62), (98, 64, 46))
_HAIR = ((36, 28, 24), (84, 54, 32), (142, 102, 56), (206, 176, 110), (120, 120, 122))
_HEAD, _ARM, _LEG, _TRUNK, _HAND = 0.078, 0.066, 0.088, 0.135, 0.042  # radius, widths, radius, in body heights
_FAR_SHADE = 0.72  # the far limbs are darker, so that they stand out from the trunk


class Box(NamedTuple):
    """Rectangle in pixels from (left, top) to (right, bottom), exclusive."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Look:
    """Colours and build of one person."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    long_sleeves: bool
    girth: float
    """Thickness of limbs and trunk; 1 is average."""
    height: float
    """Body height; 1 is average."""


@dataclass(frozen=True)
class Spot:
    """Position of a figure in the picture: ground point, body height in pixels, and direction."""

    x: float
    y: float
    height: float
    facing: int

    def at(self, point: Point) -> Point:
        """Return a point of the body in pixels."""
        return self.x + self.facing * self.height * point[0], self.y + self.height * point[1]


def random_look(rng: np.random.Generator) -> Look:
    """Draw the look of a person at random."""
    return Look(
        skin=_SKIN[rng.integers(len(_SKIN))],
        hair=_HAIR[rng.integers(len(_HAIR))],
        shirt=_cloth(rng, (0.7, 1.0), (0.6, 1.0)),
        trousers=_cloth(rng, (0.3, 0.8), (0.15, 0.4)),
        long_sleeves=bool(rng.random() < 0.4),
        girth=float(rng.uniform(0.88, 1.2)),
        height=float(rng.uniform(0.93, 1.05)),
    )


def draw_figure(draw: ImageDraw.ImageDraw, body: Skeleton, breadth: float, look: Look, spot: Spot) -> Box:
    """Draw the figure, far limbs first, and return the box around it, including the thickness of the limbs."""
    unit = spot.height * look.girth
    trunk_width = unit * (_TRUNK + 0.45 * breadth)
    sleeve = look.shirt if look.long_sleeves else look.skin
    _draw_limb(draw, spot, body.far_leg, unit * _LEG, shaded(look.trousers), shaded(look.trousers))
    _draw_limb(draw, spot, body.far_arm, unit * _ARM, shaded(look.shirt), shaded(sleeve))
    _dot(draw, spot.at(body.far_arm[2]), unit * _HAND, shaded(look.skin))
    _rod(draw, spot.at(body.hip), spot.at(body.neck), trunk_width, look.shirt)
    _draw_limb(draw, spot, body.near_leg, unit * _LEG, look.trousers, look.trousers)
    _draw_head(draw, body, look, spot)
    _draw_limb(draw, spot, body.near_arm, unit * _ARM, shaded(look.shirt, 0.88), sleeve)
    _dot(draw, spot.at(body.near_arm[2]), unit * _HAND, look.skin)
    return extent(body, spot, look.girth)


def extent(body: Skeleton, spot: Spot, girth: float = 1.0) -> Box:
    """Return the box around a figure without drawing it."""
    joints = [spot.at(point) for limb in (body.near_arm, body.far_arm, body.near_leg, body.far_leg) for point in limb]
    head_x, head_y = spot.at(body.head)
    head, margin = spot.height * _HEAD, spot.height * girth * _LEG / 2
    return Box(
        min(head_x - head, *(x - margin for x, _ in joints)),
        min(head_y - head, *(y - margin for _, y in joints)),
        max(head_x + head, *(x + margin for x, _ in joints)),
        max(head_y + head, *(y + margin for _, y in joints)),
    )


def enclosing(boxes: Sequence[Box]) -> Box:
    """Return the smallest box around all boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def draw_shadow(draw: ImageDraw.ImageDraw, spot: Spot) -> None:
    """Draw a flat shadow on the ground; it stays there when the figure jumps."""
    half = 0.2 * spot.height
    box = (spot.x - half, spot.y - 0.03 * spot.height, spot.x + half, spot.y + 0.03 * spot.height)
    draw.ellipse(box, fill=(0, 0, 0, 70))


def shaded(colour: Colour, share: float = _FAR_SHADE) -> Colour:
    """Return a darker shade of the colour."""
    red, green, blue = (int(value * share) for value in colour)
    return red, green, blue


def _cloth(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Draw a colour of any hue at random."""
    shares = hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (round(255 * share) for share in shares)
    return red, green, blue


def _draw_limb(draw: ImageDraw.ImageDraw, spot: Spot, limb: Limb, width: float, upper: Colour, lower: Colour) -> None:
    root, middle, end = (spot.at(point) for point in limb)
    _rod(draw, middle, end, width * 0.9, lower)
    _rod(draw, root, middle, width, upper)


def _draw_head(draw: ImageDraw.ImageDraw, body: Skeleton, look: Look, spot: Spot) -> None:
    x, y = spot.at(body.head)
    radius = spot.height * _HEAD
    _rod(draw, spot.at(body.neck), (x, y), radius * 0.9, shaded(look.skin, 0.85))
    _dot(draw, (x, y), radius, look.hair)
    _dot(draw, (x + spot.facing * radius * 0.3, y + radius * 0.28), radius * 0.78, look.skin)


def _rod(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: float, colour: Colour) -> None:
    draw.line((start, end), fill=colour, width=max(1, round(width)))
    _dot(draw, start, width / 2, colour)
    _dot(draw, end, width / 2, colour)


def _dot(draw: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
