import pytest

from attn.classes import ClassFinder
from attn.errors import UsageError
from attn.video.labels import choose_label

CLASSES = ClassFinder(("wave", "kick", "7"))


@pytest.mark.parametrize(
    ("hints", "labels", "expected"),
    [
        (("kick", "wave"), {"v": "wave"}, 1),
        (("clips", "wave"), {"v": "kick"}, 0),
        (("clips", "other"), {"v": "kick"}, 1),
        (("clips", None), {}, None),
        (("clips", "other"), {"w": "kick"}, None),
        (("clips", "1"), {}, 1),
        (("1", None), {}, None),
        (("clips", "7"), {}, 2),
        (("clips", "1"), {"v": "wave"}, 0),
        (("", "²"), {}, None),
        (("_KICK", "wave"), {}, 1),
        (("clips", "Wave "), {}, 0),
        (("clips", None), {"v": "KICK"}, 1),
    ],
)
def test_which_source_decides(hints, labels, expected):
    assert choose_label("v", hints, CLASSES, labels) == expected


def test_without_classes_there_is_no_label():
    assert choose_label("v", ("kick", "1"), ClassFinder(()), {}) is None


def test_labels_outside_the_class_list():
    with pytest.raises(UsageError, match=r"'jump' of video 'v' is not in the class list"):
        choose_label("v", ("clips", None), CLASSES, {"v": "jump"})
    with pytest.raises(UsageError, match=r"label 3 stored with video 'v' is out of range: the class list has 3 names"):
        choose_label("v", ("clips", "3"), CLASSES, {})
