import numpy as np
import pytest
from PIL import Image

from attn.report.heat import UNSEEN, with_heat
from attn.video.transform import Resampling
from tests.report.tracks import one_cell


def grey(width, height):
    return Image.new("RGB", (width, height), (128, 128, 128))


def coloured(picture):
    return np.ptp(np.asarray(picture).astype(int), axis=-1) > 20


@pytest.mark.parametrize("size", [(160, 100), (100, 160), (127, 95)])
@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (2, 1)])
def test_attention_lies_on_its_cell_of_the_central_square(size, cell):
    rows, cols = np.nonzero(coloured(with_heat(grey(*size), list(one_cell(cell) / 2))))
    side = min(size)
    assert (rows.mean() - (size[1] - side) / 2) / side * 4 == pytest.approx(cell[0] + 0.5, abs=0.25)
    assert (cols.mean() - (size[0] - side) / 2) / side * 4 == pytest.approx(cell[1] + 0.5, abs=0.25)


@pytest.mark.parametrize(
    ("resampling", "seen"),
    [(Resampling(crop=0.5), (55, 25, 105, 75)), (Resampling(squash=True), (0, 0, 160, 100))],
)
def test_attention_lies_on_the_part_that_the_cnn_sees(resampling, seen):
    left, top, right, bottom = seen
    rows, cols = np.nonzero(coloured(with_heat(grey(160, 100), list(one_cell((0, 3)) / 2), resampling)))
    assert (rows.mean() - top) / (bottom - top) * 4 == pytest.approx(0.5, abs=0.25)
    assert (cols.mean() - left) / (right - left) * 4 == pytest.approx(3.5, abs=0.25)


def test_the_picture_stays_without_attention_and_is_darker_where_the_cnn_does_not_see():
    picture = np.asarray(with_heat(grey(160, 100), [np.zeros((4, 4))]))
    assert (picture[:, 30:130] == 128).all()
    assert (picture[:, [0, 29, 130, 159]] == round(128 * UNSEEN)).all()


def test_two_classes_have_two_colours():
    first, second = one_cell((0, 0), (3, 3)) / 2
    picture = np.asarray(with_heat(grey(100, 100), [first, second])).astype(int)
    red, _, blue = picture[8, 8]
    assert red > blue + 30
    red, _, blue = picture[-8, -8]
    assert blue > red + 30
