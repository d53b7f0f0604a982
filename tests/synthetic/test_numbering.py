"""Names, groups and splits follow from the item's number alone."""

import re
from collections import Counter

from attn.datasets.ucf101 import group_of as group_in_name
from attn.synthetic.actions import ACTIONS
from attn.synthetic.numbering import SPLITS, Stream, class_of, group_of, image_name, is_test, random_state, video_name

MANY = range(8 * 25 * 3)


def test_names_are_unique_and_classes_take_turns():
    assert len({video_name(item) for item in MANY}) == len({image_name(item) for item in MANY}) == len(MANY)
    assert Counter(map(class_of, MANY)) == dict.fromkeys(range(8), 75)
    assert [class_of(item) for item in range(9)] == [*range(8), 0]


def test_names_are_the_official_kind():
    for item in MANY:
        folder, name = video_name(item).split("/")
        assert folder == ACTIONS[class_of(item)]
        assert re.fullmatch(rf"v_{folder}_g\d\d_c\d\d\.avi", name)
        assert group_in_name(name.removesuffix(".avi")) == group_of(item)


def test_every_video_is_tested_on_in_one_split_and_so_is_its_group():
    for item in MANY:
        assert sum(is_test(item, split) for split in SPLITS) == 1
    for split in SPLITS:
        sides = {(class_of(item), group_of(item), is_test(item, split)) for item in MANY}
        assert len(sides) == 8 * 25


def test_three_videos_of_a_class_fill_both_sides_of_every_split():
    for split in SPLITS:
        assert {is_test(item, split) for item in range(24)} == {True, False}


def test_random_states_are_independent():
    draws = {
        random_state(*key).integers(2**60)
        for key in [(0, Stream.IMAGE, 1), (0, Stream.IMAGE, 2), (0, Stream.VIDEO, 1), (1, Stream.IMAGE, 1)]
    }
    assert len(draws) == 4
    assert random_state(0, Stream.GROUP, 1, 2).random() == random_state(0, Stream.GROUP, 1, 2).random()
