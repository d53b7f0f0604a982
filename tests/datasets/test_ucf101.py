"""UCF101's lists: the folder names the class, groups never sit on both sides."""

from itertools import product
from pathlib import Path

import pytest

from attn.datasets.split import read_split
from attn.datasets.ucf101 import group_of, parse_list, read_class_index
from attn.errors import UsageError

OFFICIAL_COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}


@pytest.fixture
def lists(real_data: Path) -> Path:
    folder = real_data / "ucf101" / "ucfTrainTestlist"
    if not folder.is_dir():
        pytest.skip("official lists not present")
    return folder


def test_the_class_is_the_folder_not_the_file():
    text = "HandstandPushups/v_HandStandPushups_g01_c01.avi 37\nUCF-101/Archery/v_Archery_g02_c03.avi\n"
    assert [entry[:2] for entry in parse_list(text, "list")] == [
        ("v_HandStandPushups_g01_c01", "HandstandPushups"),
        ("v_Archery_g02_c03", "Archery"),
    ]


@pytest.mark.parametrize(
    "line",
    ["v_Archery_g02_c03.avi 3", "Archery/v_Archery_g02_c03 3", "Archery/a.avi three", "1 Archery", "Archery", "a/ 1"],
)
def test_a_line_of_another_form_is_named(line):
    with pytest.raises(UsageError, match=r"list\.txt, line 3: .* is no entry of a UCF101 list"):
        list(parse_list(f"Archery/v_Archery_g01_c01.avi\n\n{line}\n", "list.txt"))


@pytest.mark.parametrize(
    ("video_id", "group"), [("v_Archery_g07_c02", 7), ("v_HandStandPushups_g25_c01", 25), ("v_A_g01_x_g12_c100", 12)]
)
def test_group(video_id, group):
    assert group_of(video_id) == group


@pytest.mark.parametrize("video_id", ["Archery_g07_c02", "v_Archery_g07", "v_Archery_g07_c02_flipped", ""])
def test_a_name_without_a_group_is_refused(video_id):
    with pytest.raises(UsageError, match="no group in the name"):
        group_of(video_id)


def test_class_index(tmp_path):
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Band Marching\n\n")
    assert read_class_index(str(tmp_path / "classInd.txt")) == ("Archery", "Band Marching")
    with pytest.raises(UsageError, match="does not exist"):
        read_class_index(str(tmp_path / "missing.txt"))


def test_official_lists_have_the_official_counts_and_no_group_on_both_sides(lists):
    class_names = read_class_index(str(lists / "classInd.txt"))
    assert len(class_names) == 101
    for number, counts in OFFICIAL_COUNTS.items():
        train, test = (read_split(str(lists / f"{part}list{number:02}.txt"), class_names) for part in ("train", "test"))
        assert (len(train), len(test)) == counts
        assert set(train.values()) == set(test.values()) == set(class_names)
        groups = [{(name, group_of(video_id)) for video_id, name in part.items()} for part in (train, test)]
        assert not groups[0] & groups[1]
        assert len(groups[0] | groups[1]) == len(list(product(class_names, range(1, 26))))


def test_official_ids_agree_with_the_folders(lists):
    class_names = read_class_index(str(lists / "classInd.txt"))
    lines = (lists / "trainlist01.txt").read_text().split("\n")
    numbers = [int(line.split()[1]) for line in lines if line.strip()]
    labels = read_split(str(lists / "trainlist01.txt"), class_names).values()
    assert [class_names.index(name) + 1 for name in labels] == numbers
