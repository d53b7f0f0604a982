"""UCF-11: the class is the folder above the group, and groups stay whole."""

from collections import Counter

import pytest

from attn.datasets.protocol import Split, check_groups
from attn.datasets.ucf11 import (
    VIDEOS,
    benchmark,
    benchmark_975,
    benchmark_random,
    group_of,
    nearest_groups,
    read_labels,
)
from attn.errors import UsageError
from attn.storage.location import Location
from attn.video.source import list_videos

NAMES = {"basketball": "shooting", "walking": "walk_dog"}
CLIPS = {group: 1 + group % 3 for group in range(1, 26)}
"""Clips of each group, the same for both classes."""


def clip(label: str, group: int, number: int) -> str:
    folder = f"v_{NAMES[label]}_{group:02}"
    return f"{label}/{folder}/{folder}_{number:02}.avi"


def fill(root: str, clips: dict[int, int]) -> None:
    for label in NAMES:
        for group, count in clips.items():
            for number in range(1, count + 1):
                (Location.at(root) / VIDEOS / clip(label, group, number)).write_atomic(b"")
        (Location.at(root) / VIDEOS / label / "Annotation" / "v_x_01_01.xgtf").write_atomic(b"<viper/>")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("ucf [11]"))
    fill(folder, CLIPS)
    return folder


def test_one_group_is_left_out_in_each_split(root):
    found = benchmark(root, None)
    assert (found.name, found.class_names, found.figure) == ("ucf11", ("basketball", "walking"), "top_1")
    assert [split.name for split in found.splits] == [f"group{number}" for number in range(1, 26)]
    for number, split in enumerate(found.splits, start=1):
        assert {group_of(video_id) for video_id in split.test} == {number}
        assert number not in {group_of(video_id) for video_id in split.train}
        assert split.train.keys() | split.test.keys() == found.labels.keys()
    assert len(found.labels) == 2 * sum(CLIPS.values())


def test_the_class_is_the_folder_above_the_group(root):
    labels = read_labels(root)
    assert (labels["v_shooting_07_02"], labels["v_walk_dog_07_02"]) == ("basketball", "walking")


def test_its_videos_are_found_and_labelled(tmp_path, caplog):
    fill(str(tmp_path), {1: 1, 2: 2})
    found = benchmark(str(tmp_path), None)
    videos = list_videos(found.videos, found.class_names, found.labels)
    assert {video.video_id: found.class_names[video.label or 0] for video in videos} == found.labels
    assert "left out" not in caplog.text  # annotations are not taken for videos


def test_on_s3(s3):
    fill(s3, {3: 1, 4: 1})
    assert [split.name for split in benchmark(s3, None).splits] == ["group3", "group4"]


def test_the_split_of_whole_groups_is_the_nearest(root):
    found = benchmark_975(root, None)
    (split,) = found.splits
    sides = [{group_of(video_id) for video_id in part} for part in (split.train, split.test)]
    assert (found.name, split.name) == ("ucf11_975", "groups975")
    assert not sides[0] & sides[1]
    assert len(split.test) == 40  # of 100: 39.06 is the share of 625 in 1600, and counts of whole groups are even


def test_the_first_of_equally_near_sets_is_taken():
    labels = {f"v_a_{group:02}_{n:02}": "a" for group, count in {1: 3, 2: 2, 4: 1, 5: 5}.items() for n in range(count)}
    assert nearest_groups(labels, 5) == {1, 2}
    assert nearest_groups(labels, 5.5) == {1, 2}  # 5 and 6 clips are equally near; (1, 2) is before (1, 2, 4)
    assert nearest_groups(labels, 0) == {4}  # neither side is ever empty
    assert nearest_groups(labels, 100) == {1, 2, 5}


def test_every_class_is_on_both_sides(root):
    (split,) = benchmark_975(root, None).splits
    for part in (split.train, split.test):
        assert set(Counter(part.values())) == set(NAMES)


def test_the_random_split_ignores_groups_and_says_so(root):
    found = benchmark_random(root, None)
    (split,) = found.splits
    assert (found.name, split.name, found.group_of) == ("ucf11_random", "random", None)
    shared = {group_of(one) for one in split.train} & {group_of(one) for one in split.test}
    assert len(shared) > 5
    assert len(split.train) == 62  # 975 / 1600 of 50 clips, rounded up, in each of two classes
    with pytest.raises(UsageError, match=r"random: test video .+ and training video .+ share a group"):
        check_groups(split, group_of)


def test_a_group_on_both_sides_is_refused():
    train, test = {"v_shooting_01_01": "basketball"}, {"v_shooting_01_02": "basketball"}
    with pytest.raises(UsageError, match=r"^s: test video v_shooting_01_02 and training video v_shooting_01_01 share"):
        check_groups(Split("s", train, test), group_of)
    check_groups(Split("s", train, {"v_walk_dog_01_02": "walking"}), group_of)  # groups are counted within a class


@pytest.mark.parametrize(
    "path",
    [
        "walking/v_walk_dog_01_01.avi",
        "v_walk_dog_01/v_walk_dog_01_01.avi",
        "walking/v_walk_dog_02/v_walk_dog_01_09.avi",
        "walking/v_walk_dog_01/walk_dog_01_09.avi",
        "walking/v_walk_dog_01/v_walk_dog_01.avi",
    ],
)
def test_a_clip_of_another_place_or_name_is_refused(tmp_path, path):
    fill(str(tmp_path), {1: 1, 2: 1})
    (Location.at(str(tmp_path)) / VIDEOS / path).write_atomic(b"")
    with pytest.raises(UsageError, match=r"not named <class>/v_<name>_<group>/v_<name>_<group>_<clip>\. Move it"):
        benchmark(str(tmp_path), None)


def test_too_few_groups_and_missing_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match=f"{VIDEOS}: "):
        benchmark(str(tmp_path), None)
    fill(str(tmp_path), {7: 2})
    with pytest.raises(UsageError, match="clips of 1 groups found"):
        benchmark(str(tmp_path), None)
    fill(str(tmp_path), {8: 2})
    with pytest.raises(UsageError, match="web: not a folder"):
        benchmark_975(str(tmp_path), str(tmp_path / "web"))


def test_a_name_without_a_group_is_refused():
    with pytest.raises(UsageError, match="no group in the name"):
        group_of("shooting_01")
