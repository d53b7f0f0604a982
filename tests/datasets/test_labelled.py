"""Own videos with a table of labels: parts that keep groups whole, and tables that cannot be used."""

from collections import Counter

import pytest

from attn.datasets.labelled import benchmark
from attn.errors import UsageError

ACTORS, ACTIONS = "abcdefghi", ("run", "jump", "wave hands")


@pytest.fixture
def table(tmp_path):
    """table(rows, header): URL of a csv; by default nine actors show three actions each."""

    def write(rows=None, header="video_id,label,group"):
        rows = rows or [f"{actor}_{action},{action},{actor}" for actor in ACTORS for action in ACTIONS]
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([header, *rows, ""]))
        return str(path)

    return write


def parted(url, tmp_path, parts, **more):
    return benchmark(url, str(tmp_path), None, parts=parts, **more)


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_every_video_is_tested_once_and_no_group_is_on_both_sides(table, tmp_path, parts):
    found = parted(table(), tmp_path, parts)
    assert found.class_names == tuple(sorted(ACTIONS))
    assert len(found.splits) == parts
    assert Counter(one for split in found.splits for one in split.test) == Counter(found.labels.keys())
    for split in found.splits:
        assert not {one[0] for one in split.train} & {one[0] for one in split.test}
        assert set(split.train.values()) == set(ACTIONS)
    sizes = [len(split.test) for split in found.splits]
    assert max(sizes) - min(sizes) <= len(ACTIONS)
    assert found.group_of is not None
    assert found.group_of("a_run") == "a"


def test_without_groups_each_video_is_one_and_classes_are_dealt_evenly(table, tmp_path):
    rows = [f"clip{number},{'ab'[number % 3 == 0]}" for number in range(18)]
    found = parted(table(rows, "video_id,label"), tmp_path, 3)
    assert [Counter(split.test.values()) for split in found.splits] == [Counter(a=4, b=2)] * 3


def test_classes_of_a_cnn_keep_their_order(table, tmp_path):
    names = ("Wave Hands", "run", "jump")
    assert parted(table(), tmp_path, 3, class_names=names).class_names == names
    with pytest.raises(UsageError, match=r"labels.csv, row 2: class 'jump' is not among the 2 class names"):
        parted(table(), tmp_path, 3, class_names=names[:2])
    with pytest.raises(UsageError, match=r"class 'swim' has 0 labelled videos\. Label 2 or more"):
        parted(table(), tmp_path, 3, class_names=(*names, "swim"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["x,run,1", "y,run,2", "z,jump,3"], "class 'jump' has 1 labelled video. Label 2 or more"),
        (["x,run,1", "y,run,2", "z,jump,3", "u,jump,3"], "2 parts leave no video of 'jump' to train on"),
        (["x,run,1", "y,run,2"], "all videos have the class 'run'. Label videos of at least two classes"),
        (["x,run,1", "y,run,1", "z,jump,1", "u,jump,1"], r"2 parts cannot be formed from 1 groups\. Label"),
        (["x,run,1", "x,jump,1"], "labels.csv, row 2: video 'x' appears twice"),
        (["x,run,1", "y,run,", "z,jump,1", "u,jump,2"], "row 2 lacks a group"),
    ],
)
def test_a_table_that_cannot_be_parted_is_refused(table, tmp_path, rows, said):
    with pytest.raises(UsageError, match=said):
        parted(table(rows), tmp_path, 2)


@pytest.mark.parametrize("parts", [1, 10])
def test_the_number_of_parts_follows_from_the_groups(table, tmp_path, parts):
    with pytest.raises(UsageError, match=f"{parts} parts cannot be formed from 9 groups. Give 2 to 9."):
        parted(table(), tmp_path, parts)
