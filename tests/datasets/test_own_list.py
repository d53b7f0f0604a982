"""Lists as people write them, as labels and as splits."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.datasets.own_list import read_labels
from attn.datasets.split import read_split
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.source import list_videos

CLASSES = ("playing guitar", "tennis")
GUITAR, TENNIS = CLASSES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "clip 1.mp4 tennis\nb/c.2.WEBM playing guitar\n"),
        ("l.txt", "clip 1.mp4\ttennis\n\n  b/c.2.WEBM\tPlaying_Guitar\r\n"),
        ("l.list", "clip 1.mp4, tennis\nb/c.2.WEBM ,playing guitar"),
        ("l.txt", "'clip 1.mp4' tennis\n\"b\\c.2.WEBM\"; 'playing-guitar'"),
        ("l.txt", "path label\nclip 1.mp4 Tennis\n./x/b/c.2.WEBM playing guitar"),
        ("l.txt", "clip 1.mp4 1\nb/c.2.WEBM 0\n"),
        ("l.txt", "clip 1.mp4 2\nc.2.WEBM 1\n"),
        ("l.txt", "of/others/clip 1.mp4 1\nb/c.2.WEBM 0\n"),
        ("l.csv", "clip 1.mp4,tennis\nb/c.2.WEBM,playing guitar\n"),
        ("l.csv", "path,label\nclip 1.mp4,tennis\nb/c.2.WEBM,playing guitar\n"),
        ("l.CSV", "Label;Note;Video\r\ntennis;x;clip 1.mp4\r\nplaying guitar;;c.2\r\n"),
        ("l.tsv", "filename\tclass\nclip 1\ttennis\nc.2\tplaying guitar\n"),
        ("l.txt", "video_id,label\nclip 1,tennis\nc.2,playing guitar\n"),
        ("l.txt", "tennis/clip 1.mp4\nplaying_guitar/c.2.WEBM 1\n"),
    ],
)
def test_a_list_of_own_videos(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    expected = {"clip 1": TENNIS, "c.2": GUITAR}
    for present in ([], ["clip 1", "c.2", "other"]):
        assert read_split(str(tmp_path / name), CLASSES, present=present) == expected


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("video_id,label\na,1\nb,0\n", (1, 0)),
        ("video_id,label\na,2\nb,1\n", (1, 0)),
        ("of/a.mp4 1\nof/b.mp4 0\n", (1, 0)),
        ("playing_guitar/a.mp4 1\ntennis/b.mp4 2\n", (0, 1)),
    ],
)
def test_numbers_stand_for_classes_in_labels_too(tmp_path, text, labels):
    url = tmp_path / "l.txt"
    url.write_text(text)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    found = list_videos(str(tmp_path / "*.mp4"), CLASSES, read_labels(str(url), CLASSES))
    assert tuple(video.label for video in found) == labels


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a.mp4 jump\n", "line 1: class 'jump' is not among the 2 class names"),
        ("a.mp4 1\nb.mp4 1\n", "line 1: class '1' is not among"),
        ("a.mp4 0\nb.mp4 2\n", "line 1: class '0' is not among"),
        ("a.mp4 tennis\nb.mp4\n", "line 2: 'b.mp4' does not name a video and its class. Write"),
        ("a.mp4 tennis\na.mp4 tennis\n", "line 2: video 'a.mp4' appears twice"),
    ],
)
def test_what_a_list_lacks_is_named(tmp_path, text, complaint):
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_split(str(tmp_path / "l.txt"), CLASSES)


LIST = "tennis/clip.mp4\nx/playing guitar/clip.webm\n"


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((), ("tennis/clip", "x/playing guitar/clip")),
        (("tennis/clip", "playing guitar/clip", "clip2"), ("tennis/clip", "playing guitar/clip")),
        (
            ("videos/tennis/clip", "videos/x/playing guitar/clip"),
            ("videos/tennis/clip", "videos/x/playing guitar/clip"),
        ),
        (("tennis/clip.mp4", "tennis/clip.avi"), ("tennis/clip.mp4", "clip")),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path, present, expected):
    (tmp_path / "l.txt").write_text(LIST)
    split = read_split(str(tmp_path / "l.txt"), CLASSES, present=present)
    assert split == dict(zip(expected, (TENNIS, GUITAR), strict=True))


def test_a_bare_name_lies_in_the_listed_folder_or_is_refused(tmp_path):
    (tmp_path / "l.txt").write_text("clip.mp4 tennis\n")
    assert read_split(str(tmp_path / "l.txt"), CLASSES, present=("./clip", "a/clip")) == {"./clip": TENNIS}
    with pytest.raises(UsageError, match=r"line 1: 'clip\.mp4' matches a/clip, b/clip\. Use one of these"):
        read_split(str(tmp_path / "l.txt"), CLASSES, present=("b/clip", "a/clip"))


@pytest.mark.parametrize(
    "lines", [("tennis/clip.mp4", "playing guitar/clip.mp4"), ("clip.mp4 tennis", "clip.avi tennis")]
)
def test_two_lines_that_may_mean_one_video_are_named(tmp_path, lines):
    (tmp_path / "l.txt").write_text("\n".join(lines))
    first, second = (line.removesuffix(" tennis") for line in lines)
    said = f"line 2: the only video 'clip' may be '{first}' or '{second}'. Remove the line of the other"
    with pytest.raises(UsageError, match=said):
        read_split(str(tmp_path / "l.txt"), CLASSES, present=["clip"])
    (tmp_path / "l.txt").write_text(lines[0])
    assert read_split(str(tmp_path / "l.txt"), CLASSES, present=["clip"]) == {"clip": TENNIS}


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
    path = Location.at(s3) / "labels.csv"
    path.write_atomic(b"video_id,label\na,wave\n")
    assert read_labels(join(s3, "labels.csv")) == {"a": "wave"}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("l.txt", b"", "the list is empty"),
        ("l.csv", b"", r"no column for label and video_id \(the file is empty\)\. Name"),
        ("l.csv", b"clips,label\na,b\n", r"no column for video_id \(the columns are clips, label\)\. Name"),
        ("l.txt", b"a.avi wave\nb.avi\n", "line 2: 'b.avi' does not name a video and its class. Write"),
        ("l.csv", b"video_id,label\n", "the list is empty"),
        ("l.csv", b"video_id,label\na,b\nc\n", "row 2 lacks"),
        ("l.csv", b"video_id,label\na,b\na,c\n", "'a' has two labels, 'b' and 'c'"),
        ("l.csv", b"video_id,label\ncaf\xe9,b\n", "not UTF-8"),
        ("l.csv", b'video_id,label\n"' + b"a" * 200_000 + b'",b\n', "field larger"),
        ("l.parquet", b"no parquet", "not a readable Parquet file"),
        ("l.parquet", b"", "not a readable Parquet file"),
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
    pq.write_table(pa.table({"video_id": ["a"], "kind": ["b"]}), path)
    with pytest.raises(UsageError, match=r"no column for label \(the columns are video_id, kind\)"):
        read_labels(str(path))
    pq.write_table(pa.table({"video_id": ["a"], "label": [["b"]]}), path)
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        read_labels(str(path))
