import warnings

import numpy as np
import pytest

from attn.report.overlay_frames import OverlayPainter
from tests.report.tracks import one_cell, tracks_of

NAMES = ["Wave", "", "$\\frac{$/\n发\udcff", "a_b" * 60, "🦄\x1b[31m"]


def grey(width, height):
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize(
    ("source", "painted"),
    [
        ((320, 240), (320, 240)),
        ((127, 95), (128, 96)),
        ((1, 1), (2, 2)),
        ((17, 200), (18, 200)),
        ((8192, 100), (4096, 50)),
    ],
)
def test_frames_keep_their_size_up_to_even_numbers_and_the_largest_that_browsers_play(source, painted):
    painter = OverlayPainter(tracks_of(one_cell((0, 0), (1, 1))), *source)
    assert painter.size == painted
    assert painter.paint(grey(*source), 0.1).shape[1::-1] == painted


def test_an_odd_edge_is_repeated():
    picture = OverlayPainter(tracks_of(np.zeros((2, 4, 4))), 21, 33).paint(
        np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8), 0
    )
    assert (picture[:, -1] == picture[:, -2]).all()
    assert (picture[-1] == picture[-2]).all()


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (64, 64), (49, 500), (500, 49)])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_without_a_warning(name, size):
    video = tracks_of(one_cell((0, 0), (1, 1)), others=[one_cell((2, 2), (3, 3))], names=(name, name + "2", name + "3"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OverlayPainter(video, *size).paint(grey(*size), 0.1)


def test_class_and_score_stand_in_the_upper_left_corner():
    def corner(name):
        picture = OverlayPainter(tracks_of(np.zeros((2, 4, 4)), names=(name,)), 320, 240).paint(grey(320, 240), 0)
        return picture[:19, :120].astype(int)

    waving, kicking = corner("Wave"), corner("Kick")
    assert (waving != kicking).any()
    assert (np.ptp(waving, axis=-1) > 60).sum() > 50  # orange letters


def test_small_pictures_show_five_classes():
    names = tuple(f"class {i}" for i in range(5))
    picture = OverlayPainter(tracks_of(np.zeros((2, 4, 4)), names=names), 320, 240).paint(grey(320, 240), 0)
    rows = (picture[240 - 5 * 13 :, 160] != picture[100, 160]).any(axis=-1)
    assert rows.all()


def test_a_frame_of_another_size_is_fitted_into_that_of_the_first():
    painter = OverlayPainter(tracks_of(one_cell((0, 0))), 100, 60)
    assert painter.paint(grey(50, 60), 0).shape == (60, 100, 3)
    assert painter.paint(grey(300, 180), 0).shape == (60, 100, 3)
