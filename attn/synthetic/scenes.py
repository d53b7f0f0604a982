"""Backgrounds: eight places for photographs, five others for videos, and clutter to place in them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from attn.synthetic.figure import Colour

Motif = Callable[[ImageDraw.ImageDraw, int, int, np.random.Generator], None]


@dataclass(frozen=True)
class Scene:
    """Place: colours from the top to the horizon, colour of the ground, and motif on the horizon."""

    top: Colour
    low: Colour
    ground: Colour
    motif: Motif


def paint_scene(scene: Scene, size: tuple[int, int], ground_row: int, rng: np.random.Generator) -> Image.Image:
    """Paint a place without people, with small random changes of colour.

    Args:
        scene: place to paint.
        size: width and height in pixels.
        ground_row: row at which the ground begins.
        rng: random generator.
    """
    width, height = size
    light, tint = rng.uniform(0.75, 1.1), rng.normal(0.0, 12.0, 3)
    share = np.linspace(0.0, 1.0, max(ground_row, 1))[:, None]
    rows = np.empty((height, 3))
    rows[:ground_row] = ((1 - share) * scene.top + share * scene.low)[:ground_row]
    rows[ground_row:] = np.asarray(scene.ground) * np.linspace(0.9, 1.1, height - ground_row)[:, None]
    column = np.clip(rows * light + tint, 0, 255).astype(np.uint8)[:, None]
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(column, (height, width, 3))))
    scene.motif(ImageDraw.Draw(image, "RGBA"), width, ground_row, rng)
    return image


def scatter(image: Image.Image, count: int, ground_row: int, rng: np.random.Generator) -> None:
    """Draw clutter of random colours on the ground: posts, crates, bushes."""
    draw = ImageDraw.Draw(image)
    for kind, x, depth in zip(rng.integers(3, size=count), rng.random(count), rng.random(count), strict=True):
        colour = _any_colour(rng)
        base = ground_row + depth * (image.height - ground_row) * 0.6
        tall = image.height * (0.12 + 0.16 * rng.random())
        left = x * image.width
        if kind == 0:
            draw.rectangle((left, base - 2.6 * tall, left + 0.16 * tall, base), fill=colour)
        elif kind == 1:
            draw.rectangle((left, base - tall, left + 1.1 * tall, base), fill=colour)
            draw.line((left, base - tall, left + 1.1 * tall, base), fill=(40, 34, 28), width=3)
        else:
            draw.ellipse((left, base - tall, left + 0.9 * tall, base), fill=colour)


def _any_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour at random, dull so that people stand out."""
    red, green, blue = (int(value) for value in rng.integers(-28, 29, 3) + rng.integers(60, 200))
    return red, green, blue


def _plain(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    """Draw nothing: a studio has a plain background."""


def _trees(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    for x in rng.random(7) * width:
        crown, tall = 0.16 * ground_row, ground_row * (0.5 + 0.3 * rng.random())
        green = int(rng.integers(70, 130))
        draw.rectangle((x - 0.03 * tall, ground_row - tall, x + 0.03 * tall, ground_row), fill=(84, 60, 40))
        draw.ellipse((x - crown, ground_row - tall - crown, x + crown, ground_row - tall + crown), fill=(40, green, 36))


def _houses(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    step = width / 6
    for i in range(6):
        roof = ground_row * (0.2 + 0.5 * rng.random())
        grey = int(rng.integers(70, 190))
        draw.rectangle((i * step, roof, (i + 1) * step - 1, ground_row), fill=(grey, grey - 10, grey - 20))
        for row in np.arange(roof + 5, ground_row - 8, max(9.0, 0.12 * ground_row)):
            for column in (0.2, 0.6):
                left = (i + column) * step
                draw.rectangle((left, row, left + 0.2 * step, row + 0.06 * ground_row), fill=(222, 208, 140))


def _hills(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    for x in rng.random(5) * width:
        half, tall = width * 0.3, ground_row * (0.25 + 0.3 * rng.random())
        draw.polygon(((x - half, ground_row), (x, ground_row - tall), (x + half, ground_row)), fill=(96, 110, 128, 130))


def _panels(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    left = rng.random() * 0.2 * width
    for x in np.arange(left, width, width / 3):
        frame = (x, 0.15 * ground_row, x + 0.22 * width, 0.6 * ground_row)
        draw.rectangle(frame, fill=(176, 208, 230), outline=(120, 96, 70), width=3)


def _discs(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    for x, y in rng.random((16, 2)) * (width, 0.8 * ground_row):
        radius = 0.03 * width * (1 + rng.random())
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*_any_colour(rng), 110))


def _bars(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    for x in np.arange(rng.random() * 0.1 * width, width, 0.1 * width):
        draw.rectangle((x, 0.1 * ground_row, x + 0.02 * width, ground_row), fill=(70, 66, 60))
    draw.rectangle((0, 0.2 * ground_row, width, 0.25 * ground_row), fill=(70, 66, 60))


def _bricks(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    high, wide = max(4, ground_row // 9), max(8, width // 9)
    for course, y in enumerate(range(0, ground_row - high, high)):
        for x in range(-(course % 2) * wide // 2, width, wide):
            red = int(rng.integers(110, 180))
            draw.rectangle((x, y, x + wide - 2, y + high - 2), fill=(red, red // 2, red // 3))


def _shelves(draw: ImageDraw.ImageDraw, width: int, ground_row: int, rng: np.random.Generator) -> None:
    high = max(6, ground_row // 4)
    for y in range(0, ground_row - high, high):
        x = 0.0
        while x < width:
            wide = width * (0.04 + 0.08 * rng.random())
            top = y + high * (0.15 + 0.4 * rng.random())
            draw.rectangle((x, top, x + 0.9 * wide, y + high - 3), fill=_any_colour(rng))
            x += wide


WEB_SCENES: tuple[Scene, ...] = (
    Scene((206, 196, 178), (226, 216, 200), (120, 88, 62), _panels),  # office
    Scene((150, 190, 232), (214, 228, 240), (98, 152, 70), _trees),  # park
    Scene((96, 168, 226), (190, 222, 240), (216, 196, 150), _hills),  # beach
    Scene((176, 196, 214), (206, 214, 220), (118, 118, 120), _houses),  # street
    Scene((234, 234, 236), (246, 246, 246), (206, 206, 208), _plain),  # studio
    Scene((40, 26, 60), (96, 50, 96), (52, 36, 44), _discs),  # stage
    Scene((208, 214, 196), (222, 224, 206), (180, 132, 84), _bars),  # gymnasium
    Scene((188, 204, 226), (226, 234, 244), (238, 242, 248), _hills),  # snow
)
"""Places of photographs. The action whose class ID is the index is photographed there more often than elsewhere."""

VIDEO_SCENES: tuple[Scene, ...] = (
    Scene((120, 70, 54), (120, 70, 54), (104, 98, 92), _bricks),  # yard
    Scene((70, 74, 84), (104, 104, 108), (86, 88, 92), _shelves),  # store room
    Scene((58, 84, 60), (90, 116, 78), (92, 84, 54), _trees),  # wood
    Scene((28, 34, 58), (64, 66, 92), (46, 48, 58), _houses),  # street at night
    Scene((150, 148, 140), (170, 166, 154), (140, 126, 104), _bars),  # playground
)
"""Places of videos, different from those of photographs."""
