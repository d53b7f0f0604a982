"""UCF101's lists: the folder names the class, groups never sit on both sides."""

from itertools import product
from pathlib import Path

import pytest

from attn.datasets.split import read_split
from attn.datasets.ucf101 import benchmark, group_of, parse_list, read_class_index, read_list
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.listing import remove_tree
from attn.storage.location import Location

OFFICIAL_COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}


@pytest.fixture
def lists(real_data: Path) -> Path:
    folder = real_data / "ucf101" / "ucfTrainTestlist"
    if not folder.is_dir():
        pytest.skip("official lists not present")
    return folder


# As the official lists are: blank lines, ids in the training lists alone, one class that its files spell otherwise.
OFFICIAL = {
    "classInd": "1 Archery\n2 HandstandPushups\n\n",
    "trainlist01": "Archery/v_Archery_g08_c01.avi 1\nHandstandPushups/v_HandStandPushups_g08_c01.avi 2\n\n",
    "testlist01": "Archery/v_Archery_g01_c01.avi\nHandstandPushups/v_HandStandPushups_g01_c01.avi\n\n",
    "trainlist02": "Archery/v_Archery_g01_c01.avi 1\r\nHandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n",
    "testlist02": "Archery/v_Archery_g08_c01.avi\r\n\r\n",
    "trainlist03": "Archery/v_Archery_g01_c01.avi 1\n",
    "testlist03": "HandstandPushups/v_HandStandPushups_g01_c01.avi\n",
}


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    root = join(request.getfixturevalue("s3"), "ucf101") if request.param == "s3" else str(tmp_path / "ucf101")
    write(root, **OFFICIAL)
    (Location.at(root) / "UCF-101/Archery/v_Archery_g01_c01.avi").write_atomic(b"")
    return root


def write(root: str, **lists: str) -> None:
    for name, text in lists.items():
        (Location.at(root) / "ucfTrainTestlist" / f"{name}.txt").write_atomic(text.encode())


def test_the_official_layout(root):
    found = benchmark(root, None)
    assert (found.name, found.stride, found.figure, found.images) == ("ucf101", 5, "top_1", None)
    assert found.class_names == ("Archery", "HandstandPushups")
    assert found.videos == join(root, "UCF-101")
    assert [split.name for split in found.splits] == ["split1", "split2", "split3"]
    first, second, third = found.splits
    assert first.train == {"v_Archery_g08_c01": "Archery", "v_HandStandPushups_g08_c01": "HandstandPushups"}
    assert second.test == {"v_Archery_g08_c01": "Archery"}
    assert third.test == {"v_HandStandPushups_g01_c01": "HandstandPushups"}


def test_a_group_on_both_sides_is_named(root):
    write(root, testlist02="Archery/v_Archery_g02_c01.avi\nArchery/v_Archery_g01_c02.avi\n")
    with pytest.raises(
        UsageError, match="split2: test video v_Archery_g01_c02 and training video v_Archery_g01_c01 share"
    ):
        benchmark(root, None)


def test_a_group_number_is_counted_within_its_class(root):
    write(root, testlist03="HandstandPushups/v_HandStandPushups_g01_c04.avi\n")
    assert benchmark(root, None).splits[2].train == {"v_Archery_g01_c01": "Archery"}


def test_groups_can_be_kept_whole_by_others(root):
    found = benchmark(root, None).group_of
    assert found is not None
    assert found("v_HandStandPushups_g07_c02") == 7


def test_a_video_on_both_sides_is_named(root):
    write(root, testlist01=OFFICIAL["trainlist01"])
    with pytest.raises(
        UsageError, match="split1: 2 videos are in both the training and the test list, such as 'v_Archery_g08_c01'"
    ):
        benchmark(root, None)


@pytest.mark.parametrize("gone", ["UCF-101", "ucfTrainTestlist"])
def test_a_missing_folder_is_named_with_the_layout(root, gone):
    remove_tree(Location.at(root) / gone)
    with pytest.raises(UsageError, match=rf"/{gone}: not a folder\. Arrange UCF101 as UCF-101/<Class>/v_"):
        benchmark(root, None)


@pytest.mark.parametrize("gone", ["classInd", "trainlist02", "testlist03"])
def test_a_missing_list_is_named(root, gone):
    (Location.at(root) / f"ucfTrainTestlist/{gone}.txt").remove()
    with pytest.raises(UsageError, match=rf"{gone}\.txt: does not exist"):
        benchmark(root, None)


def test_missing_images_are_refused(root):
    with pytest.raises(UsageError, match=r"bu101: not a folder\. Arrange the Web images as"):
        benchmark(root, join(root, "bu101"))


def test_an_empty_list_is_refused(root):
    write(root, testlist01="\n\n")
    with pytest.raises(UsageError, match=r"testlist01\.txt: no videos listed"):
        benchmark(root, None)
    with pytest.raises(UsageError, match=r"trainlist01\.txt, line 1: class 'Archery' is not among the 1 class names"):
        read_list(join(root, "ucfTrainTestlist/trainlist01.txt"), ("Diving",))


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
    with pytest.raises(UsageError, match=r"list\.txt, line 3: .* is not a UCF101 entry"):
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


def test_official_lists_have_the_official_counts_and_every_group_on_one_side(lists):
    found = benchmark(str(lists.parent), None)
    assert len(found.class_names) == 101
    for (number, counts), split in zip(OFFICIAL_COUNTS.items(), found.splits, strict=True):
        assert split.name == f"split{number}"
        assert (len(split.train), len(split.test)) == counts
        assert set(split.train.values()) == set(split.test.values()) == set(found.class_names)
        groups = [{(name, group_of(video)) for video, name in part.items()} for part in (split.train, split.test)]
        assert not groups[0] & groups[1]
        assert len(groups[0] | groups[1]) == len(list(product(found.class_names, range(1, 26))))
    assert len(found.labels) == 13320


def test_official_ids_agree_with_the_folders(lists):
    class_names = read_class_index(str(lists / "classInd.txt"))
    lines = (lists / "trainlist01.txt").read_text().split("\n")
    numbers = [int(line.split()[1]) for line in lines if line.strip()]
    labels = read_split(str(lists / "trainlist01.txt"), class_names).values()
    assert [class_names.index(name) + 1 for name in labels] == numbers
