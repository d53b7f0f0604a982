"""Clips of one class in a video are of one recording, and all clips are used about equally often."""

from collections import Counter

import numpy as np
import pytest

from attn.synthetic.annotated_video import IDLE, RATES
from attn.synthetic.join_plan import Clip, JoinPlan, JoinSettings
from attn.video.found import Video

NAMES = ("Run", "Jump", "Lift")


def clips(names=(*NAMES, "Rest"), recordings=4, each=3, named=True) -> list[Clip]:
    return [
        Clip(Video(f"{name}_{group}_{i}", f"{name}_{group}_{i}.avi", None, None, None), name, f"{group}" * named)
        for name in names
        for group in range(recordings)
        for i in range(each)
    ]


def plan(given=None, *, seed=0, **settings):
    made = JoinSettings(**{"videos_per_part": 40, **settings})
    return list(JoinPlan(given or clips(), NAMES, made, np.random.default_rng(seed)))


@pytest.mark.parametrize("background", [(), ("Rest",)])
def test_idle_time_surrounds_every_action(background):
    for _, stretches in plan(background=background):
        acting = [one.label != IDLE for one in stretches]
        assert len(acting) >= 2
        if any(acting):
            assert acting == [i % 2 == 1 for i in range(len(acting))]
            assert not acting[-1]
        for one in stretches:
            assert one.label in (*NAMES, IDLE)
            if one.label == IDLE:
                assert one.still == (not background)
                assert 3 <= one.most_s <= 8
                assert all(clip.label in (background or NAMES) for clip in one.clips)


def test_the_clips_of_a_class_are_of_one_recording_and_no_clip_appears_twice():
    several = 0
    for _, stretches in plan(clips=(2, 4)):
        used = [one.clips[0] for one in stretches if one.label != IDLE]
        assert len({clip.video.video_id for clip in used}) == len(used)
        for name in NAMES:
            recordings = {clip.recording for clip in used if clip.label == name}
            assert len(recordings) <= 1
        several += len({clip.label for clip in used}) > 1
    assert 5 < several < 30


def test_all_clips_are_used_about_equally_often():
    used = Counter(one.clips[0].video.video_id for _, stretches in plan() for one in stretches if one.label != IDLE)
    assert len(used) == 36  # of three classes
    assert max(used.values()) <= 2 * used.total() / len(used)


def test_without_known_recordings_any_clips_of_a_class_meet():
    found = [one for _, stretches in plan(clips(named=False), clips=(4, 4)) for one in stretches if one.label != IDLE]
    assert len(found) == 32 * 4


def test_a_small_recording_gives_what_it_has():
    for _, stretches in plan(clips(each=1), clips=(3, 3)):
        assert len([one for one in stretches if one.label != IDLE]) in (0, 1, 2)  # one of each class


def test_a_still_is_of_the_action_that_follows():
    for _, stretches in plan():
        for idle, action in zip(stretches[::2], stretches[1::2], strict=False):
            if action.label != IDLE:
                assert idle.clips[0] is action.clips[0]


def test_shares_classes_and_rates():
    made = plan(background_share=0.25)
    labels = [{one.label for one in stretches} - {IDLE} for _, stretches in made]
    assert sum(not found for found in labels) == 10
    assert set.union(*labels) == {*NAMES}
    assert {fps for fps, _ in made} == {*RATES}
    assert made == plan(background_share=0.25)
    assert made != plan(background_share=0.25, seed=1)
