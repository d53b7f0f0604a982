"""One function reads every list, and says which line it cannot read."""

from pathlib import Path

import pytest

from attn.datasets import tvhi
from attn.datasets.split import SplitList, classes_of_list, read_recordings, read_split, write_split_list
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location

CLASSES = ("Kick", "Wave")


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return join(request.getfixturevalue("s3"), "lists") if request.param == "s3" else str(tmp_path / "lists")


def write(folder: str, **files: str) -> None:
    for name, text in files.items():
        (Location.at(folder) / f"{name}.txt").write_atomic(text.encode())


def test_a_ucf101_list_in_its_own_order(folder):
    write(folder, trainlist01="Wave/v_Wave_g02_c01.avi 2\n\nKick/v_Kick_g01_c01.avi 1\r\n", readme="no list")
    split = read_split(join(folder, "trainlist01.txt"), CLASSES)
    assert list(split.items()) == [("v_Wave_g02_c01", "Wave"), ("v_Kick_g01_c01", "Kick")]


def test_without_a_class_list_the_classes_are_those_of_the_list(folder):
    write(folder, trainlist01="Wave/a.avi 2\nkick/b.avi 1\nKick/c.avi\n")
    assert read_split(join(folder, "trainlist01.txt")) == {"a": "Wave", "b": "kick", "c": "Kick"}


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("wave/a.avi\nKick/b.avi\n", None),
        ("Kick/a.avi\n", None),
        ("Kick/a.avi\nJump/b.avi\n", ("Jump", "Kick")),
        ("a.avi 0\nb.avi 1\n", None),
        ("a.avi 0\nb.avi 3\n", ("0", "3")),
        ("all/a.avi 0\nall/b.avi 1\n", None),  # the folder is not the class
        (
            "Jump/a.avi 0\n",
            ("Jump",),
        ),  # one of three classes by its number, or a list with a class and numbers of its own
        ("Jump/a.avi 0\nRun/b.avi 1\nSit/c.avi 2\n", None),
    ],
)
def test_a_list_is_about_other_classes_if_it_names_one(tmp_path, text, own):
    write(str(tmp_path), list=text)
    known = ("Kick", "Wave", "Hug")
    assert classes_of_list(str(tmp_path / "list.txt"), known) == (own or known)


def test_hmdb51_lists_as_folder_and_as_glob(folder):
    write(folder, wave_test_split1="a.avi 2\nb.avi 1\n", kick_test_split1="c.avi 2\nd.avi 0\n")
    for url in (folder, join(folder, "*_test_split1.txt")):
        assert read_split(url, CLASSES) == {"c": "Kick", "a": "Wave"}
        assert read_split(url, CLASSES, part="train") == {"b": "Wave"}
    assert read_split(join(folder, "wave_test_split1.txt"), CLASSES) == {"a": "Wave"}


def test_several_hmdb51_splits_want_a_choice(folder):
    write(folder, wave_test_split1="a.avi 2", wave_test_split2="a.avi 1\nb.avi 2")
    with pytest.raises(UsageError, match=r"splits \[1, 2\]\. Choose one"):
        read_split(folder, CLASSES)
    assert read_split(join(folder, "*_test_split2.txt"), CLASSES) == {"b": "Wave"}


def test_class_names_agree_without_regard_to_case_but_exactly_first(tmp_path):
    write(str(tmp_path), a="WAVE/a.avi", b="wave/a.avi\nWave/b.avi")
    assert read_split(str(tmp_path / "a.txt"), CLASSES) == {"a": "Wave"}
    assert read_split(str(tmp_path / "b.txt"), ("Wave", "wave")) == {"a": "wave", "b": "Wave"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Wave/a.avi 2\nJump/b.avi 3\n", r"list\.txt, line 2: class 'Jump' is not among the 2 class names"),
        ("Wave/a.avi 2\nsomething else\n", r"list\.txt, line 2: 'something else' does not name a video and its class"),
        ("Wave/a.avi\n\nWave/a.avi\n", r"list\.txt, line 3: video 'Wave/a.avi' appears twice"),
        ("\n\n", r"list\.txt: no test videos listed"),
        ("", r"list\.txt: no test videos listed"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    write(str(tmp_path), list=text)
    with pytest.raises(UsageError, match=message):
        read_split(str(tmp_path / "list.txt"), CLASSES)


def test_an_empty_list_of_any_part_is_named_so(tmp_path):
    write(str(tmp_path), list="")
    with pytest.raises(UsageError, match=r"list\.txt: no videos listed"):
        read_split(str(tmp_path / "list.txt"), CLASSES, part="both")


def test_an_hmdb51_split_without_a_part_is_refused(tmp_path):
    write(str(tmp_path), wave_test_split1="a.avi 1\n")
    with pytest.raises(UsageError, match="no test videos listed"):
        read_split(str(tmp_path), CLASSES)


def test_missing_empty_and_ambiguous_places(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_split(str(tmp_path / "testlist01.txt"), CLASSES)
    with pytest.raises(UsageError, match="no file found"):
        read_split(str(tmp_path / "*.txt"), CLASSES)
    write(str(tmp_path), testlist01="Wave/a.avi", testlist02="Wave/b.avi")
    with pytest.raises(UsageError, match=r"2 files found\. Name one list"):
        read_split(str(tmp_path), CLASSES)


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xd8\xff\xe0" * 9)
    with pytest.raises(UsageError, match="not UTF-8"):
        read_split(str(tmp_path / "a.txt"), CLASSES)


UT_INTERACTION = {"44_8_4": "punch", "43_8_4": "punch", "1_1_2": "kick"}
UCF101 = {"v_HandStandPushups_g01_c01": "HandstandPushups", "v_Archery_g07_c02": "Archery"}
FOLDERS = {"person0/a": "Wave", "x/y/clip": "Wave", "./clip": "Kick", "Wave/a": "Wave", "a\nb": "Kick"}
ODD = {"a b 12": "Band Marching", "clip.1": "Wave 2", "clip.2": "2", "x.avi": "wave 2", "ä–7": "Größe"}


@pytest.mark.parametrize(
    "split", [tvhi.sets()[0], UT_INTERACTION, UCF101, ODD, FOLDERS], ids=["tvhi", "ut", "ucf101", "odd", "folders"]
)
def test_a_written_list_reads_back_as_it_was(folder, split: SplitList):
    names = sorted({*split.values(), "Another"})
    write_split_list(join(folder, "train.txt"), split, names)
    assert list(read_split(join(folder, "train.txt"), names).items()) == list(split.items())


def test_recordings_are_written_and_read_back(folder):
    names = sorted({*FOLDERS.values(), "Another"})
    recordings = {video_id: f"place {video_id[0]}" for video_id in FOLDERS}
    write_split_list(join(folder, "train.txt"), FOLDERS, names, recordings)
    read = read_split(join(folder, "train.txt"), names)
    assert list(read.items()) == list(FOLDERS.items())
    assert read_recordings(join(folder, "train.txt"), read) == recordings


def test_a_written_list_has_the_official_form(folder):
    write_split_list(join(folder, "train.txt"), UCF101, ("Archery", "Diving", "HandstandPushups"))
    assert (Location.at(folder) / "train.txt").read_text() == (
        "HandstandPushups/v_HandStandPushups_g01_c01.avi 3\nArchery/v_Archery_g07_c02.avi 1\n"
    )


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({}, r"train\.txt: the list would be empty"),
        ({"a": "Jump"}, r"class 'Jump' is not among the 2 class names"),
        ({"a": "wave"}, r"train\.txt: some names do not fit in a line"),
    ],
)
def test_a_list_that_would_read_otherwise_is_not_written(tmp_path, split, message):
    with pytest.raises(UsageError, match=message):
        write_split_list(str(tmp_path / "train.txt"), split, CLASSES)
    assert not list(tmp_path.iterdir())


def test_recordings_of_videos_with_several_segments(tmp_path):
    (tmp_path / "table.csv").write_text(
        "video_id,label,group,start_s,end_s\na,Wave,park,0,1\nb,Hug,yard,0,1\na,Wave,park,3,4\n"
    )
    url = str(tmp_path / "table.csv")
    assert read_recordings(url, read_split(url)) == {"a": "park", "b": "yard"}


def test_recordings_come_from_the_group_column_or_from_ucf101s_names(tmp_path):
    table, names = tmp_path / "table.csv", tmp_path / "trainlist01.txt"
    table.write_text("video_id,label,group\na,Wave,park\nb,Hug,park\nv_Hug_g07_c01,Hug,yard\n")
    names.write_text("Hug/v_Hug_g07_c01.avi 1\nWave/v_Wave_g08_c02.avi 2\nWave/mine.avi 2\n")
    found = [read_recordings(str(url), read_split(str(url))) for url in (table, names)]
    assert found[0] == {"a": "park", "b": "park", "v_Hug_g07_c01": "yard"}
    assert found[1] == {"v_Hug_g07_c01": "07", "v_Wave_g08_c02": "08", "mine": "mine"}
