"""UT-Interaction: flat names say everything, and one sequence after the other is left out."""

from collections import Counter
from pathlib import Path

import pytest

from attn.datasets.ut_interaction import CLASSES, benchmark
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.source import list_videos

# Index, sequence and class as set 1 has them, around its quirk: sequence 6 without a punch, sequence 8 with two.
QUIRK = [(30, 6, 2), (31, 6, 5), (32, 6, 1), (33, 6, 3), (34, 6, 0)]
QUIRK += [(41, 8, 0), (42, 8, 2), (43, 8, 4), (44, 8, 4), (45, 8, 5), (46, 8, 3), (47, 8, 1)]
LAST = [(54, 10, 0), (55, 10, 4), (56, 10, 5), (57, 10, 3), (58, 10, 1), (59, 10, 2)]


def fill(folder: str) -> None:
    for index, sequence, class_id in QUIRK + LAST:
        (Location.at(folder) / f"{index}_{sequence}_{class_id}.avi").write_atomic(b"")
    (Location.at(folder) / "readme.txt").write_atomic(b"")


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = join(request.getfixturevalue("s3"), "set1") if request.param == "s3" else str(tmp_path / "set1")
    fill(folder)
    return folder


def test_one_sequence_is_left_out_in_each_split(folder):
    found = benchmark(folder, None)
    assert (found.name, found.class_names, found.stride, found.figure) == ("ut_interaction", CLASSES, 5, "top_1")
    assert [split.name for split in found.splits] == ["sequence6", "sequence8", "sequence10"]
    for split in found.splits:
        number = split.name.removeprefix("sequence")
        assert all(video_id.split("_")[1] == number for video_id in split.test)
        assert (split.train | split.test).keys() == found.labels.keys()
    assert len(found.labels) == 18


def test_the_quirk_stays(folder):
    six, eight, _ = benchmark(folder, None).splits
    assert "punch" not in six.test.values()
    assert Counter(eight.test.values()) == {"punch": 2} | dict.fromkeys(set(CLASSES) - {"punch"}, 1)
    assert list(eight.test) == ["41_8_0", "42_8_2", "43_8_4", "44_8_4", "45_8_5", "46_8_3", "47_8_1"]


def test_names_of_the_classes(folder):
    labels = benchmark(folder, None).labels
    last = {
        video_id: labels[video_id] for video_id in ("54_10_0", "58_10_1", "59_10_2", "57_10_3", "55_10_4", "56_10_5")
    }
    assert list(last.values()) == ["handshake", "hug", "kick", "point", "punch", "push"]


def test_its_videos_are_found_and_labelled(folder):
    found = benchmark(folder, None)
    videos = list_videos(found.videos, found.class_names, found.labels)
    assert {video.video_id: video.label for video in videos} == {one: int(one[-1]) for one in found.labels}


@pytest.mark.parametrize("name", ["1_1_6.avi", "1_1.avi", "seq1.mp4", "1_1_0_copy.avi"])
def test_a_video_of_another_name_is_refused(tmp_path, name):
    fill(str(tmp_path))
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match=rf"{name[:-4]} is not named <index>_<sequence>_<class 0 to 5>\. Move it"):
        benchmark(str(tmp_path), None)


def test_too_few_sequences_and_missing_images_are_refused(tmp_path):
    with pytest.raises(UsageError, match="clips of 0 sequences"):
        benchmark(str(tmp_path / "nowhere"), None)
    (tmp_path / "0_1_4.avi").touch()
    with pytest.raises(UsageError, match="clips of 1 sequences"):
        benchmark(str(tmp_path), None)
    with pytest.raises(UsageError, match="web: not a folder"):
        benchmark(str(tmp_path), str(tmp_path / "web"))


def test_set_1_as_published(real_data):
    folder = real_data / "ut-interaction" / "set1"
    if not folder.is_dir():
        pytest.skip("real clips not present")
    found = benchmark(str(folder), None)
    assert [split.name for split in found.splits] == [f"sequence{number}" for number in range(1, 11)]
    assert [len(split.test) for split in found.splits] == [6, 6, 6, 6, 6, 5, 6, 7, 6, 6]
    assert Counter(found.labels.values()) == dict.fromkeys(CLASSES, 10)
    assert all(set(split.train.values()) == set(CLASSES) for split in found.splits)
