"""A video acts when it says so, where it says so."""

from dataclasses import replace

import numpy as np
import pytest

from attn.synthetic.actions import ACTIONS
from attn.synthetic.clip import HEIGHT, WIDTH, Clip, make_clip, make_group
from attn.synthetic.shift import DomainShift


def clip_of(class_id: int, seed: int, shift: DomainShift) -> Clip:
    rng = np.random.default_rng(seed)
    return make_clip(class_id, make_group(rng, shift), rng, shift)


def rendered(clip: Clip, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    frames, boxes = zip(*clip.frames(np.random.default_rng(seed)), strict=True)
    return np.stack(frames), np.array(boxes)


@pytest.mark.parametrize("class_id", range(len(ACTIONS)))
def test_whatever_moves_is_inside_the_boxes(class_id, still, monkeypatch):
    monkeypatch.setattr("attn.synthetic.staging.draw_shadow", lambda *_: None)  # a shadow is not part of the person
    frames, boxes = rendered(clip_of(class_id, 7, still))
    for before, after, first, second in zip(frames, frames[1:], boxes, boxes[1:], strict=False):
        moved = (before != after).any(axis=2)
        left, top = np.floor(np.minimum(first, second)[:2]).astype(int) - 2
        right, bottom = np.ceil(np.maximum(first, second)[2:]).astype(int) + 3
        moved[max(top, 0) : bottom, max(left, 0) : right] = False
        assert not moved.any()


@pytest.mark.parametrize("class_id", range(len(ACTIONS)))
def test_people_who_stand_are_still_and_who_act_move(class_id, still):
    clip = replace(clip_of(class_id, 3, still), n_frames=40, start=12, stop=32, walks=False)
    frames, _ = rendered(clip)
    changes = (frames[1:] != frames[:-1]).any(axis=(1, 2, 3))
    assert not changes[:12].any()
    assert not changes[32:].any()
    assert changes[12:31].mean() > 0.9


def test_the_camera_moves_people_and_place_together(still):
    clip = replace(clip_of(4, 3, replace(still, drift=0.1)), n_frames=40, start=40, stop=40, walks=False)
    frames, boxes = rendered(clip)
    dx, dy = (round((b - a) * HEIGHT) for a, b in zip(clip.camera.offset(0), clip.camera.offset(39), strict=True))
    assert max(abs(dx), abs(dy)) > 4
    back = np.roll(frames[39].astype(float), (-dy, -dx), axis=(0, 1))
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(back - frames[0])[inner].mean() < 0.25 * np.abs(frames[39].astype(float) - frames[0])[inner].mean()
    assert boxes[39] - boxes[0] == pytest.approx([dx, dy, dx, dy], abs=1)


def test_people_who_walk_come_near_and_leave(still):
    clip = replace(clip_of(0, 3, still), n_frames=60, start=20, stop=40, walks=True)
    _, boxes = rendered(clip)
    width = boxes[:, 2] - boxes[:, 0]
    assert width[0] > width[30] + 5 < width[-1]


def test_lengths_and_action_are_drawn_from_their_ranges(still):
    shift = replace(still, decided=(0.3, 0.5))
    clips = [clip_of(seed % 8, seed, shift) for seed in range(60)]
    lengths = [clip.n_frames for clip in clips]
    assert 40 <= min(lengths) < max(lengths) <= 60
    for clip in clips:
        assert 0 <= clip.start < clip.stop <= clip.n_frames
        assert 0.28 <= (clip.stop - clip.start) / clip.n_frames <= 0.52
        assert clip.acting(clip.start) == clip.acting(clip.stop) == 0.0
        assert clip.acting((clip.start + clip.stop) // 2) == 1.0


def test_the_decisive_moment_is_on_the_picture():
    touches = []
    for seed in range(16):
        clip = clip_of(seed % 8, seed, DomainShift(video_offset=2.0, bystander=0.0, drift=0.0))
        _, boxes = rendered(replace(clip, n_frames=12, start=0, stop=12))
        left, top, right, bottom = boxes[6]
        touches.append(left <= 0 or top <= 0 or right >= WIDTH or bottom >= HEIGHT)
    assert np.mean(touches) < 0.2


def test_figures_are_as_high_as_asked(still):
    for share in (0.4, 0.7):
        clip = replace(clip_of(4, 1, replace(still, video_figure=(share, share))), start=50, stop=50, walks=False)
        _, boxes = rendered(clip)
        assert boxes[0][3] - boxes[0][1] == pytest.approx(share * HEIGHT, rel=0.12)


def test_a_bystander_stands_outside_the_box(still):
    for seed in range(6):
        alone, beside = (clip_of(6, seed, replace(still, bystander=share)) for share in (0.0, 1.0))
        assert alone.bystander is None
        assert beside.bystander is not None
        assert abs(beside.bystander.x - beside.stage.x) > 0.6 * beside.stage.height


def test_clips_of_a_group_share_place_and_people():
    shift = DomainShift()
    one, two, other = (make_group(np.random.default_rng(seed), shift) for seed in (0, 0, 1))
    assert one.looks == two.looks != other.looks
    assert one.world.tobytes() == two.world.tobytes() != other.world.tobytes()
