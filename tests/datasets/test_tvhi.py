"""TVHI: two sets that are data, in a flat folder with clips of no interaction beside."""

from collections import Counter
from pathlib import Path

import pytest

from attn.datasets.tvhi import CLASSES, SET_1, benchmark, sets
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.source import list_videos

NUMBERS = {"handShake": 50, "highFive": 50, "hug": 50, "kiss": 50, "negative": 100}
NAMES = [f"{name}_{number:04}.avi" for name, count in NUMBERS.items() for number in range(1, count + 1)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The official layout: one folder of 300 clips and a text; a glob would misread its name."""
    folder = tmp_path / "tv [human]"
    folder.mkdir()
    for name in NAMES:
        (folder / name).touch()
    (folder / "readme.txt").write_text("handShake ...")
    return folder


def test_sets_are_disjoint_complete_and_of_25_per_class():
    one, other = sets()
    assert not one.keys() & other.keys()
    assert {f"{video_id}.avi" for video_id in one | other} == {name for name in NAMES if "negative" not in name}
    for part in (one, other):
        assert Counter(part.values()) == dict.fromkeys(("handShake", "highFive", "hug", "kiss"), 25)
        assert all(video_id.startswith(f"{name}_") for video_id, name in part.items())


def test_some_numbers_of_the_readme():
    one, other = sets()
    assert {"handShake_0002", "highFive_0048", "hug_0050", "kiss_0042"} <= one.keys()
    assert {"handShake_0001", "highFive_0002", "hug_0001", "kiss_0050"} <= other.keys()
    assert {name: sum(number**2 for number in numbers) for name, numbers in SET_1.items()} == {
        "handShake": 29006, "highFive": 19678, "hug": 22167, "kiss": 16392,
    }  # fmt: skip


def test_two_folds_are_the_swap_of_each_other(root):
    found = benchmark(str(root), None)
    assert (found.name, found.class_names, found.stride, found.figure) == ("tvhi", CLASSES, 1, "map_noninterpolated")
    first, second = found.splits
    assert (first.train, first.test) == sets()
    assert (second.train, second.test) == (first.test, first.train)
    assert len(found.labels) == 200


def test_the_videos_are_the_positives(root):
    found = benchmark(str(root), None)
    videos = list_videos(found.videos, found.class_names, found.labels)
    assert {video.video_id: found.class_names[video.label or 0] for video in videos} == found.labels


def test_on_s3_with_images(s3):
    for name in ("clips/hug_0001.avi", "clips/negative_0001.avi", "hii/hug/1.jpg"):
        (Location.at(s3) / name).write_atomic(b"")
    found = benchmark(join(s3, "clips"), join(s3, "hii"))
    assert found.images == join(s3, "hii")
    assert [video.video_id for video in list_videos(found.videos)] == ["hug_0001"]


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "negative_0001.avi").touch()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=r"no clips of TVHI found\. Name the folder of handShake_0001\.avi"):
            benchmark(str(folder), None)


def test_missing_images_are_refused(root):
    with pytest.raises(UsageError, match="hii: not a folder"):
        benchmark(str(root), str(root / "hii"))
