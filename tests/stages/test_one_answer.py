"""A store is suspected only as long as nothing speaks against it."""

import numpy as np
import pytest

from attn.stages.one_answer import OneAnswer
from attn.storage.store import VideoRows

NAMES = ("Wave", "Kick", "Hug")


def rows(frame_classes, maps=None):
    count = len(frame_classes)
    tensors = {"logits": np.eye(3, dtype=np.float32)[list(frame_classes)]}
    if maps is not None:
        tensors["maps"] = np.full((count, 3, 2, 2), maps, np.float16)
    return VideoRows("v", None, False, np.arange(count), np.arange(count) / 6, tensors)


def warnings_of(*videos):
    check = OneAnswer()
    for seen, label in videos:
        check.see(seen, (label,))
    return check.warnings(NAMES)


def test_one_class_for_every_frame_is_told_with_its_name():
    (line,) = warnings_of((rows([1, 1], maps=1), 0), (rows([1], maps=1), 1))
    assert line.startswith("all frames of 2 videos are predicted as Kick: the CNN does not distinguish the classes")


@pytest.mark.parametrize("other", [([1, 2], 0), ([0, 0], 1)], ids=["another frame", "another video"])
def test_one_frame_of_another_class_is_enough(other):
    classes, label = other
    assert warnings_of((rows([1, 1]), label), (rows(classes), 1 - label)) == []


def test_videos_of_one_class_may_all_get_it():
    assert warnings_of((rows([1, 1]), 1), (rows([1]), 1)) == []


def test_maps_without_any_attention_are_told():
    (line,) = warnings_of((rows([0, 1], maps=0), 0), (rows([2], maps=-0.0), 0))
    assert line.startswith("all maps of 2 videos are zero")


def test_a_single_map_with_attention_is_enough():
    dark, faint = (rows([0, 1], maps=0), 0), (rows([2], maps=1e-7), 0)
    assert warnings_of(dark, faint) == warnings_of(faint, dark) == []


def test_columns_that_were_not_read_are_not_judged():
    assert warnings_of((rows([0, 1]), 0)) == []
    assert OneAnswer().warnings(NAMES) == []
