"""Tables in which a video may have several classes, or none."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.datasets.labelled import benchmark
from attn.datasets.own_list import parse_file, read_labels
from attn.datasets.split import classes_of_list, read_label_sets, read_split
from attn.errors import UsageError
from attn.storage.location import Location

CLASSES = ("run", "jump", "wave")
PLAIN = "video_id,labels\nb,wave\na,Run\nb,jump\nstreet,\n"
SEGMENTS = "start_s,video_id,label,end_s\n3,b,wave,4.5\n0,a,run,1\n7,b,wave,9\n1,b,jump,2\n,street,,\n"
SETS = {"b": ("jump", "wave"), "a": ("run",), "street": ()}


@pytest.fixture
def table(tmp_path):
    """table(text, name): URL of a file with this text."""

    def make(text, name="labels.csv"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return make


@pytest.mark.parametrize("text", [PLAIN, SEGMENTS])
def test_every_class_of_every_video(table, text):
    found = read_label_sets(table(text), CLASSES)
    assert found == SETS
    assert list(found) == list(SETS)
    assert read_label_sets(table(text.replace("Run", "run"))) == SETS
    assert read_label_sets(table(text), CLASSES, present=["x/b", "a", "c"]) == {
        "x/b": SETS["b"],
        "a": ("run",),
        "street": (),
    }


def test_the_same_from_parquet_with_nulls_and_numbers(tmp_path):
    url = str(tmp_path / "labels.parquet")
    columns = {"video_id": ["b", "b", "a", "street"], "label": ["wave", "jump", "run", None]}
    pq.write_table(pa.table({**columns, "start_s": [3, 1, 0, None], "end_s": [4.5, 2.0, 1.0, None]}), url)
    assert read_label_sets(url, CLASSES) == SETS
    assert [entry.segment for entry in parse_file(Location.at(url))] == [(3, 4.5), (1, 2), (0, 1), None]
    pq.write_table(pa.table({"video_id": columns["video_id"], "labels": columns["label"]}), url)
    assert read_label_sets(url, CLASSES) == SETS


def test_a_list_of_one_class_each_gives_sets_of_one(table):
    assert read_label_sets(table("video_id,label\na,run\nb,wave\n"), CLASSES) == {"a": ("run",), "b": ("wave",)}


def test_numbers_are_positions_beside_background_videos(table):
    text = "video_id,labels\na,1\na,3\nb,2\nstreet,\n"
    assert read_label_sets(table(text), CLASSES) == {"a": ("run", "wave"), "b": ("jump",), "street": ()}


def test_a_missing_video_has_one_id_however_often_it_is_listed(table):
    text = "path,labels\nx/a.mp4,run\nx/a.mp4,wave\ny/a.mp4,jump\nb.mp4,run\nb.mp4,jump\n"
    found = read_label_sets(table(text), CLASSES)
    assert found == {"x/a": ("run", "wave"), "y/a": ("jump",), "b": ("run", "jump")}


def test_videos_of_one_class_are_a_split_even_with_several_segments(table):
    one_each = SEGMENTS.replace("jump", "wave").replace(",street,,\n", "")
    assert read_split(table(one_each), CLASSES) == {"b": "wave", "a": "run"}


@pytest.mark.parametrize(
    ("text", "place", "has"),
    [
        (PLAIN, 1, "'b' has several classes (jump, wave)"),
        (SEGMENTS, 1, "'b' has several classes (jump, wave)"),
        ("video_id,labels\na,run\nstreet,\n", 2, "'street' has no class"),
    ],
)
def test_a_split_of_one_class_each_is_refused_in_one_line(table, text, place, has):
    url = table(text)
    said = f"{url}, row {place}: video {has}, but each video needs exactly one here."
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        read_split(url, CLASSES)
    with pytest.raises(UsageError, match=re.escape(said)):
        benchmark(url, "videos", None, parts=2, class_names=CLASSES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "video_id,label\na,run\nb,run\na,run\n",
            r"row 3: video 'a' appears twice\. Remove one of the lines, or give a",
        ),
        ("video_id,label\na,run\nb,run\na,wave\n", r"row 3: video 'a' appears twice\. .+ column labels if videos may"),
        (
            "video_id,label\na,run\nb,\n",
            r"row 2 lacks a video_id or a label\. Fill it in, or name the column labels if",
        ),
        ("video_id,labels\na,run\nb,run\na,run\n", r"row 3: video 'a' appears twice with class 'run'\. Remove"),
        ("video_id,labels\na,\na,\n", r"row 2: video 'a' appears twice without a class\. Remove"),
        ("video_id,labels\na,run\na,\n", r"row 2: video 'a' is listed with and without a class"),
        ("video_id,labels\na,\na,run\n", r"row 2: video 'a' is listed with and without a class"),
        ("video_id,labels\na,run\n,run\n", r"row 2 lacks a video_id or a label\. Fill it in\.$"),
        ("video_id,labels\na,swim\n", r"row 1: class 'swim' is not among the 3 class names"),
        ("video_id,label,start_s,end_s\na,run,3,2\n", r"row 1: the segment 3 to 2 s is reversed"),
        ("video_id,label,start_s,end_s\na,run,3,\n", r"row 1: the end '' is not a finite number"),
        ("video_id,label,start_s,end_s\na,,3,4\n", r"row 1 lacks a video_id or a label\. Fill it in\.$"),
        ("video_id,label,start_s,end_s\na,run,3,4\na,run,,\n", r"row 2: video 'a' appears twice with class 'run'"),
        ("path,labels\nx/a.mp4,run\ny/a.mp4,jump\n", r"row 2: the only video 'a' may be 'x/a.mp4' or 'y/a.mp4'"),
        ("video_id,note,labels,label\na,,run,\n", r"row 1 lacks a video_id or a label"),
    ],
)
def test_a_row_that_contradicts_another_is_named(table, text, said):
    with pytest.raises(UsageError, match=said):
        read_label_sets(table(text), CLASSES, present=["a"])


def test_labels_of_a_store_are_those_of_videos_of_one_class(table):
    assert read_labels(table(PLAIN), CLASSES) == {"a": "run"}
    assert read_labels(table("video_id,labels\nstreet,\n"), CLASSES) == {}


def test_the_classes_of_a_table_do_not_include_none(table):
    assert classes_of_list(table(PLAIN), CLASSES) == CLASSES
    assert classes_of_list(table(PLAIN), ("swim", "dive")) == ("Run", "jump", "wave")
    with pytest.raises(UsageError, match="class 'Run' has 1 labelled video"):
        benchmark(table("video_id,labels\na,Run\nb,jump\n"), "videos", None, parts=2)
