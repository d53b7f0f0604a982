import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.storage.filesystem import join, open_filesystem, write_atomic
from attn.video.labels import choose_label, read_labels

IDS = {"wave": 0, "kick": 1, "7": 2}


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
    ],
)
def test_which_source_decides(hints, labels, expected):
    assert choose_label("v", hints, IDS, labels) == expected


def test_without_classes_there_is_no_label():
    assert choose_label("v", ("kick", "1"), {}, {}) is None


def test_labels_outside_the_class_list():
    with pytest.raises(UsageError, match=r"'jump' of video 'v' is not in the class list"):
        choose_label("v", ("clips", None), IDS, {"v": "jump"})
    with pytest.raises(UsageError, match=r"label 3 stored with video 'v' is beyond the 3 names"):
        choose_label("v", ("clips", "3"), IDS, {})


def test_csv_from_a_spreadsheet(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes('\ufefflabel, video_id ,note\r\nwave,"a, b",x\r\nkick,ü.1,\r\nkick,ü.1,\r\n'.encode())
    assert read_labels(str(path)) == {"a, b": "wave", "ü.1": "kick"}


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet(tmp_path, type_):
    path = tmp_path / "labels.parquet"
    pq.write_table(
        pa.table({"n": [1, 2], "label": pa.array(["wave", "kick"]).cast(type_), "video_id": ["a", "b"]}), path
    )
    assert read_labels(str(path)) == {"a": "wave", "b": "kick"}


def test_labels_on_s3(s3):
    fs, path = open_filesystem(join(s3, "labels.csv"))
    write_atomic(fs, path, b"video_id,label\na,wave\n")
    assert read_labels(join(s3, "labels.csv")) == {"a": "wave"}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("l.txt", b"", r"a \.csv or a \.parquet"),
        ("l.csv", b"", "column label and video_id is missing"),
        ("l.csv", b"video,label\na,b\n", "column video_id is missing; there are: video, label"),
        ("l.csv", b"video_id,label\n", "no row"),
        ("l.csv", b"video_id,label\na,b\nc\n", "row 2 lacks"),
        ("l.csv", b"video_id,label\na,b\na,c\n", "'a' has two labels, 'b' and 'c'"),
        ("l.csv", b"video_id,label\ncaf\xe9,b\n", "not UTF-8"),
        ("l.csv", b'video_id,label\n"' + b"a" * 200_000 + b'",b\n', "field larger"),
        ("l.parquet", b"no parquet", "cannot be read as parquet"),
        ("l.parquet", b"", "cannot be read as parquet"),
    ],
)
def test_labels_that_are_none(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        read_labels(str(tmp_path / name))


def test_missing_labels(tmp_path):
    for name in ("l.csv", "l.parquet"):
        with pytest.raises(UsageError, match="does not exist"):
            read_labels(str(tmp_path / name))


def test_parquet_with_the_wrong_columns(tmp_path):
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"video_id": ["a"], "class": ["b"]}), path)
    with pytest.raises(UsageError, match="column label is missing; there are: video_id, class"):
        read_labels(str(path))
    pq.write_table(pa.table({"video_id": ["a"], "label": [["b"]]}), path)
    with pytest.raises(UsageError, match="cannot be read as parquet"):
        read_labels(str(path))
