"""Photographs: whole actions, large and in the middle; some at the action's own place."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attn.synthetic.actions import ACTIONS
from attn.synthetic.photograph import photograph
from attn.synthetic.scenes import WEB_SCENES
from attn.synthetic.shift import DomainShift

CLEAN = DomainShift(image_clutter=(0, 0))


def test_sizes_vary_within_their_ranges():
    sizes = {photograph(0, np.random.default_rng(seed), CLEAN).size for seed in range(12)}
    assert len(sizes) > 6
    assert all(144 <= width <= 192 and 136 <= height <= 168 for width, height in sizes)


@pytest.mark.parametrize("class_id", range(len(ACTIONS)))
def test_the_same_random_state_takes_the_same_photograph(class_id):
    one, two, other = (photograph(class_id, np.random.default_rng(seed), CLEAN) for seed in (5, 5, 6))
    assert one.tobytes() == two.tobytes() != other.tobytes()


@pytest.mark.parametrize("class_id", range(len(ACTIONS)))
def test_people_fill_the_middle_square_whole(class_id, monkeypatch):
    """Before a wall and on a ground of one colour each, people are what breaks the rows."""
    plain = next(scene for scene in WEB_SCENES if scene.motif.__name__ == "_plain")
    monkeypatch.setattr("attn.synthetic.photograph.WEB_SCENES", (plain,) * 8)
    monkeypatch.setattr("attn.synthetic.photograph.POSE_SPREAD", 0.0)
    monkeypatch.setattr("attn.synthetic.staging.draw_shadow", lambda *_: None)
    spans = np.array([_span(class_id, seed) for seed in range(8)])
    left, top, right, bottom = spans.mean(axis=0)
    assert 0.75 < max(right - left, bottom - top) < 1.0
    assert np.abs(spans[:, 0] + spans[:, 2]).mean() / 2 < 0.02
    assert (top + bottom) / 2 == pytest.approx(0.0, abs=0.06)
    assert (spans[:, 1] <= -0.5).mean() <= 0.5


def _span(class_id: int, seed: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the people from the middle of the picture, in sides of its square."""
    image = photograph(class_id, np.random.default_rng(seed), replace(CLEAN, image_offset=0.0, image_figure=(1.0, 1.0)))
    pixels, (width, height) = np.asarray(image, int), image.size
    rows, cols = np.nonzero((np.abs(pixels - pixels[:, :1]) > 12).any(axis=2))
    sides = (cols.min() - width / 2, rows.min() - height / 2, cols.max() + 1 - width / 2, rows.max() + 1 - height / 2)
    left, top, right, bottom = (side / min(image.size) for side in sides)
    return left, top, right, bottom


def test_the_own_place_is_as_frequent_as_asked(monkeypatch):
    """Places are told by their painter's calls."""
    painted: list[int] = []

    def paint(scene: object, size: tuple[int, int], *_: object) -> Image.Image:
        painted.append(next(i for i, one in enumerate(WEB_SCENES) if one is scene))
        return Image.new("RGB", size)

    monkeypatch.setattr("attn.synthetic.photograph.paint_scene", paint)
    for share, expected in ((0.0, 1 / 8), (0.5, 0.5 + 0.5 / 8), (1.0, 1.0)):
        painted.clear()
        for seed in range(200):
            photograph(3, np.random.default_rng(seed), replace(CLEAN, own_scene=share))
        assert np.mean(np.array(painted) == 3) == pytest.approx(expected, abs=0.09)
