import dataclasses

import numpy as np
import pytest
from PIL import Image

from attn.report.timeline import Timeline, over_pixels
from tests.report.tracks import one_cell, tracks_of


@pytest.fixture
def video():
    return tracks_of(one_cell(*[(0, 0)] * 10))


def test_energies_are_interpolated_over_the_time_line(video):
    track = dataclasses.replace(video.classes[0], energies=np.arange(10.0))
    drawn = over_pixels(video, track, 1000)
    np.testing.assert_allclose(drawn[50:900:100], np.arange(0.5, 9), atol=0.02)
    assert (drawn[900:] == 9).all()


def test_a_short_peak_is_seen_on_a_narrow_time_line(video):
    track = dataclasses.replace(video.classes[0], energies=np.eye(10)[7])
    assert over_pixels(video, track, 3).tolist() == [0, 0, 1]


def test_the_cursor_moves_over_the_rows_with_time(video):
    timeline = Timeline(video, left=10, top=20, width=300, rows=3, text_px=12)
    bare = Image.new("RGB", (320, 80))
    timeline.draw(bare)
    places = []
    for time_s in (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 9.0):
        picture = bare.copy()
        timeline.draw_cursor(picture, time_s)
        changed = np.nonzero((np.asarray(picture) != np.asarray(bare)).any(axis=(0, 2)))[0]
        places.append(changed.mean())
    assert places[0] == places[1] < places[2] < places[3] < places[4] < places[5] == places[6] <= 310
    assert places[3] == pytest.approx((places[1] + places[5]) / 2, abs=1.5)


def test_a_single_sampled_frame_has_no_cursor():
    timeline = Timeline(tracks_of(one_cell((0, 0))), left=0, top=0, width=100, rows=1, text_px=12)
    picture = Image.new("RGB", (100, 20))
    timeline.draw_cursor(picture, 0.0)
    assert picture.getbbox() is None
