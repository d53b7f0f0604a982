"""Places can be painted at any size and are told apart."""

import numpy as np
import pytest
from PIL import Image

from attn.synthetic.scenes import VIDEO_SCENES, WEB_SCENES, Scene, paint_scene, scatter

SCENES = WEB_SCENES + VIDEO_SCENES


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("size", "ground_row"), [((160, 120), 80), ((340, 260), 140), ((16, 12), 6), ((40, 30), 29)])
def test_every_place_has_the_asked_size_and_ground(scene: Scene, size, ground_row):
    image = paint_scene(scene, size, ground_row, np.random.default_rng(1))
    assert image.size == size
    ground = np.asarray(image, float)[ground_row + 1 :]
    assert ground.size == 0 or ground.std(axis=1).max() == 0


@pytest.mark.parametrize("scene", SCENES)
def test_the_same_random_state_paints_the_same(scene: Scene):
    one, two, other = (np.asarray(paint_scene(scene, (80, 60), 40, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert (one == two).all()
    assert (one != other).any()


def test_places_are_told_apart_by_their_wall_and_ground():
    pictures = [np.asarray(paint_scene(scene, (64, 48), 30, np.random.default_rng(0)), float) for scene in SCENES]
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 8


def test_clutter_is_as_much_as_asked():
    images = []
    for count in (0, 1, 12):
        image = Image.new("RGB", (200, 150), (0, 0, 255))
        scatter(image, count, 90, np.random.default_rng(0))
        images.append((np.asarray(image) != (0, 0, 255)).any(axis=2).mean())
    assert images[0] == 0 < images[1] < images[2]
