"""A figure is drawn, and its box holds it without room to spare."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from attn.synthetic.figure import Box, Spot, draw_figure, draw_shadow, random_look, shaded
from attn.synthetic.pose import Pose, skeleton, walking

BLUE = (0, 0, 255)


def changed(image: Image.Image) -> Box:
    rows, cols = np.nonzero((np.asarray(image) != BLUE).any(axis=2))
    return Box(cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("facing", [1, -1])
@pytest.mark.parametrize(
    "pose", [Pose(), walking(1.0), Pose(-16, 90, 120, -90, 45, near_thigh=85, near_shin=88), Pose(40, 180, 180)]
)
def test_the_box_holds_every_pixel_of_the_figure_and_hardly_more(pose, facing):
    image = Image.new("RGB", (400, 400), BLUE)
    look = replace(random_look(np.random.default_rng(3)), shirt=(200, 0, 0), trousers=(0, 90, 0))
    box = draw_figure(ImageDraw.Draw(image), skeleton(pose, 0.1), 0.1, look, Spot(200, 320, 200, facing))
    pixels = changed(image)
    inside = np.subtract(pixels, box) * (1, 1, -1, -1)
    assert inside.min() >= -2.0
    assert inside.max() <= 12.0


def test_a_figure_facing_the_other_way_is_the_mirror_image():
    pictures = []
    for facing in (1, -1):
        image = Image.new("RGB", (301, 300), BLUE)
        look = random_look(np.random.default_rng(0))
        draw_figure(ImageDraw.Draw(image), skeleton(Pose(10, 90, 90), 0.1), 0.1, look, Spot(150, 280, 200, facing))
        pictures.append(np.asarray(image, int)[:, ::facing])
    assert (np.abs(pictures[0] - pictures[1]).max(axis=2) > 0).mean() < 0.01


def test_a_shadow_darkens_the_ground():
    image = Image.new("RGB", (100, 100), (200, 200, 200))
    draw_shadow(ImageDraw.Draw(image, "RGBA"), Spot(50, 80, 60, 1))
    assert 100 < image.getpixel((50, 80))[0] < 180
    assert image.getpixel((50, 70)) == (200, 200, 200)


def test_looks_differ_and_follow_from_the_random_state():
    looks = [random_look(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert looks[0] == looks[1] != looks[2]


def test_shaded_is_darker():
    assert shaded((100, 200, 50), 0.5) == (50, 100, 25)
