import dataclasses

import numpy as np
import pytest

from tests.report.tracks import one_cell, tracks_of


def test_a_sampled_frame_has_its_own_maps_on_the_scale_of_the_video():
    maps = np.random.default_rng(0).random((3, 7, 7)).astype(np.float16)
    second = 3 * maps[::-1]
    video = tracks_of(maps, others=[second])
    for i, time_s in enumerate(video.time_s):
        first, other = video.maps_at(float(time_s))
        np.testing.assert_array_equal(first, maps[i].astype(np.float32) / second.max())
        np.testing.assert_array_equal(other, second[i].astype(np.float32) / second.max())


def test_between_sampled_frames_maps_change_linearly_and_beyond_them_they_stay():
    video = tracks_of(one_cell((0, 0), (3, 3)))
    (middle,) = video.maps_at(0.05)
    assert (middle[0, 0], middle[3, 3]) == pytest.approx((0.75, 0.25), abs=1e-6)
    assert video.maps_at(-1.0)[0][0, 0] == video.maps_at(9.0)[0][3, 3] == 1


def test_maps_without_attention_stay_zero():
    assert not tracks_of(np.zeros((2, 4, 4))).maps_at(0.1)[0].any()


def test_the_last_sampled_frame_lasts_as_long_as_the_others():
    video = tracks_of(one_cell((0, 0), (1, 1), (2, 2)))
    assert video.end_s == pytest.approx(0.6)
    assert dataclasses.replace(video, time_s=video.time_s[:1], frame=video.frame[:1]).end_s == 0
