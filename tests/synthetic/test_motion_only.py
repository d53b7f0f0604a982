"""Videos whose class is in the motion only: equal frames of twins, uniform poses, boxes, and files."""

import dataclasses
import math

import av
import numpy as np
import pytest

from attn.synthetic import MOTIONS, read_boxes, render_motion_videos
from attn.synthetic.clip import make_group
from attn.synthetic.motion_only import QUICK, MotionClip, make_motion_clip, share_up
from attn.synthetic.shift import DomainShift


def clip_of(class_id: int, seed: int = 0, **change) -> MotionClip:
    shift = DomainShift()
    group = make_group(np.random.default_rng(100 + seed), shift)
    return dataclasses.replace(make_motion_clip(class_id, group, np.random.default_rng(seed), shift), **change)


def rendered(clip: MotionClip) -> tuple[np.ndarray, np.ndarray]:
    frames, boxes = zip(*clip.frames(np.random.default_rng(1)), strict=True)
    return np.stack(frames), np.array(boxes)


@pytest.mark.parametrize("pair", range(len(MOTIONS) // 2))
def test_twins_have_the_same_frames_in_reverse_order(pair):
    (first, boxes), (second, others) = (rendered(clip_of(2 * pair + which, n_frames=9)) for which in (0, 1))
    assert np.array_equal(first, second[::-1])
    assert np.array_equal(boxes, others[::-1])
    assert not np.array_equal(first, second)


def test_the_pose_at_a_random_time_is_uniform():
    """Its distribution does not depend on how quickly either direction is passed, so not on the class."""
    shares = np.array([share_up(phase) for phase in np.linspace(0, 2 * math.pi, 20_000, endpoint=False)])
    assert np.histogram(shares, 10, (0, 1))[0] / len(shares) == pytest.approx(np.full(10, 0.1), abs=0.001)
    up = np.diff(shares) > 0
    assert up.mean() == pytest.approx(QUICK, abs=0.001)


def test_first_phases_are_uniform():
    phases = [clip_of(0, seed).phase / (2 * math.pi) for seed in range(200)]
    counts = np.histogram(phases, 4, (0, 1))[0]
    assert counts.min() > 30


def test_only_the_actor_moves_and_its_box_is_around_it(still, monkeypatch):
    monkeypatch.setattr("attn.synthetic.staging.draw_shadow", lambda *_: None)
    group = make_group(np.random.default_rng(5), still)
    for class_id in range(len(MOTIONS)):
        clip = make_motion_clip(class_id, group, np.random.default_rng(class_id), still)
        frames, boxes = rendered(dataclasses.replace(clip, n_frames=12))
        moved = (frames[1:] != frames[:-1]).any(3)
        assert moved.any()
        left, top = np.floor(boxes.min(0)[:2]).astype(int) - 2
        right, bottom = np.ceil(boxes.max(0)[2:]).astype(int) + 3
        moved[:, max(top, 0) : bottom, max(left, 0) : right] = False
        assert not moved.any()


def test_both_figures_are_in_the_central_square():
    for seed in range(30):
        clip = clip_of(seed % 4, seed)
        for stage in clip.stages:
            assert 40 < stage.x < 280
        assert abs(clip.stages[0].x - clip.stages[1].x) > 0.6 * clip.stages[0].height


def test_files_lists_and_boxes(tmp_path):
    render_motion_videos(tmp_path, 12, workers=1)
    names = {path.stem for path in tmp_path.glob("UCF-101/*/*.avi")}
    assert names == {f"v_{name}_g{group:02}_c01" for name in MOTIONS for group in (1, 2, 3)}
    assert (tmp_path / "ucfTrainTestlist" / "classInd.txt").read_text().split() == [
        *("1", "Snatch", "2", "Drop", "3", "Lift", "4", "Lower")
    ]
    train, test = (
        (tmp_path / "ucfTrainTestlist" / f"{part}list01.txt").read_text().splitlines() for part in ("train", "test")
    )
    assert (len(train), len(test)) == (8, 4)
    assert {line.split("_g")[1][:2] for line in train} & {line.split("_g")[1][:2] for line in test} == set()
    frames, tracks = {}, {}
    for name in ("Snatch", "Drop"):
        with av.open(str(tmp_path / "UCF-101" / name / f"v_{name}_g02_c01.avi")) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            assert all(packet.is_keyframe for packet in packets)
        with av.open(str(tmp_path / "UCF-101" / name / f"v_{name}_g02_c01.avi")) as container:
            frames[name] = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        tracks[name] = read_boxes(tmp_path / "boxes" / f"v_{name}_g02_c01.json")
        assert len(tracks[name].boxes) == len(frames[name]) == tracks[name].acting[1]
    assert np.array_equal(frames["Snatch"], frames["Drop"][::-1])  # the codec adds no trace of the order
    assert tracks["Snatch"].boxes == tracks["Drop"].boxes[::-1]


def test_any_network_of_single_frames_is_at_chance():
    """Twins have one set of frames, so the mean over frames of any function is equal, and one of both is wrong."""
    random = np.random.default_rng(0)
    for pair in range(len(MOTIONS) // 2):
        twins = [rendered(clip_of(2 * pair + which, pair, n_frames=7))[0] for which in (0, 1)]
        for _ in range(3):
            weights = random.normal(size=(len(MOTIONS), *twins[0].shape[1:]))
            scores = [
                np.tanh(np.tensordot(frames / 255.0, weights, axes=([1, 2, 3], [1, 2, 3])) / 99) for frames in twins
            ]
            np.testing.assert_allclose(scores[0].mean(0), scores[1].mean(0), atol=1e-12)
            assert np.ptp(scores[0], axis=0).min() > 0  # single frames do differ
