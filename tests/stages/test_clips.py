"""Clips of videos: their frames, one view for frames and flow, the sign of mirrored flow, and clips of a test."""

import numpy as np
import pytest

from attn.stages.clips import (
    ClipSampling,
    View,
    clip_of_flow,
    clip_of_frames,
    random_view,
    scored_clips,
    scored_views,
)

RNG = np.random.default_rng(0)


def test_frames_of_a_clip_and_repeated_ones():
    sampling = ClipSampling(4, 3)
    assert sampling.span == 10
    frames, repeated = sampling.frames(20, 5)
    assert frames.tolist() == [5, 8, 11, 14]
    assert not repeated.any()
    frames, repeated = sampling.frames(7, 0)
    assert frames.tolist() == [0, 3, 6, 6]
    assert repeated.tolist() == [False, False, False, True]
    assert sampling.frames(1, 0)[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("jitter", "expected"), [(1.0, {*range(11)}), (0.0, {5}), (0.4, {3, 4, 5, 6, 7})])
def test_first_frames_of_training_clips(jitter, expected):
    sampling, random = ClipSampling(4, 3, jitter), np.random.default_rng(0)
    assert {sampling.random_start(20, random) for _ in range(500)} == expected
    assert {sampling.random_start(9, random) for _ in range(20)} == {0}


def test_test_clips_are_uniform_and_different():
    sampling = ClipSampling(4, 3)
    assert sampling.uniform_starts(20, 3) == [0, 5, 10]
    assert sampling.uniform_starts(20, 1) == [5]
    assert sampling.uniform_starts(11, 10) == [0, 1]
    assert sampling.uniform_starts(3, 10) == [0]


def test_views():
    random = np.random.default_rng(1)
    views = [random_view(9, 7, random, flip=True) for _ in range(300)]
    assert {(one.top, one.left, one.mirrored) for one in views} == {
        (top, left, flip) for top in range(3) for left in range(3) for flip in (False, True)
    }
    assert not any(random_view(9, 7, random, flip=False).mirrored for _ in range(50))
    assert scored_views(9, 7, 1) == [View(1, 1, 7)]
    assert scored_views(9, 7, 3) == [View(1, 0, 7), View(1, 1, 7), View(1, 2, 7)]
    assert scored_views(7, 7, 3) == [View(0, 0, 7)]


def test_a_view_cuts_frames_and_flow_at_one_place():
    """Flow whose components are row and column of the pixel, and frames with the same values."""
    rows, cols = np.mgrid[0:9, 0:9]
    flow = np.stack([cols, rows])[None].repeat(3, 0).astype(np.int8)
    images = np.stack([cols, rows, cols], -1)[None].repeat(3, 0).astype(np.uint8)
    view, whole = View(1, 2, 5), np.array([0, 2, 2])
    frames, moved = clip_of_frames(images, whole, view), clip_of_flow(flow, whole, np.zeros(3, bool), view)
    assert (frames.shape, moved.shape) == ((3, 3, 5, 5), (2, 3, 5, 5))
    assert np.array_equal(frames[:2], moved)
    assert frames[1, 0, :, 0].tolist() == [1, 2, 3, 4, 5]
    assert frames[0, 0, 0].tolist() == [2, 3, 4, 5, 6]
    mirrored = View(1, 2, 5, mirrored=True)
    assert np.array_equal(clip_of_frames(images, whole, mirrored), frames[..., ::-1])


def test_mirrored_flow_has_the_opposite_horizontal_component():
    """A dot that moves right and down moves left and down in the mirror."""
    flow = np.zeros((1, 2, 6, 6), np.int8)
    flow[0, :, 1, 2] = (127, 50)
    found = clip_of_flow(flow, np.array([0]), np.array([False]), View(0, 0, 6, mirrored=True))
    assert found[:, 0, 1, 3].tolist() == [-127, 50]
    assert np.count_nonzero(found) == 2


def test_repeated_frames_do_not_move():
    flow = RNG.integers(-127, 127, (4, 2, 6, 6)).astype(np.int8)
    before = flow.copy()
    frames, repeated = ClipSampling(6, 1).frames(4, 0)
    found = clip_of_flow(flow, frames, repeated, View(0, 0, 6))
    assert not found[:, 4:].any()
    assert np.array_equal(found[:, :4], flow.transpose(1, 0, 2, 3))
    assert np.array_equal(flow, before)


def test_clips_of_several_videos():
    found = scored_clips([20, 0, 3], ClipSampling(4, 3), clips=2, crops=3, size=9, side=7)
    assert [(one.video, one.start, one.view.left) for one in found] == [
        *((0, start, left) for start in (0, 10) for left in (0, 1, 2)),
        *((2, 0, left) for left in (0, 1, 2)),
    ]
