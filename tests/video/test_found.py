"""What the videos of a folder are called, and what is said of the files that were not taken."""

import pytest

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.video.found import keep_names
from attn.video.source import find_videos, list_videos
from tests.video.shards import put, tar_of
from tests.video.test_source import root

__all__ = ["root"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("attn")]


def test_files_of_one_name_are_called_by_their_folder(root):
    for name in ["tennis/clip.mp4", "boxing/clip.webm", "boxing/b.avi", "1/x/c.avi", "2/x/c.avi", "d.avi", "e/d.avi"]:
        put(join(root, name), name.encode())
    put(join(root, "e/d.mkv"))
    put(join(root, "s/x.tar"), tar_of(("a/m.avi", b"1"), ("n.avi", b"1"), ("./o.avi", b"1")))
    put(join(root, "s/y.tar"), tar_of(("b/m.avi", b"2"), ("n.avi", b"22")))
    ids = {video.where.removeprefix(f"{root}/"): video.video_id for video in list_videos(root)}
    assert ids == {
        "tennis/clip.mp4": "tennis/clip",
        "boxing/clip.webm": "boxing/clip",
        "boxing/b.avi": "b",
        "1/x/c.avi": "1/x/c",
        "2/x/c.avi": "2/x/c",
        "d.avi": "./d",
        "e/d.avi": "e/d.avi",
        "e/d.mkv": "e/d.mkv",
        "s/x.tar: a/m.avi": "a/m",
        "s/y.tar: b/m.avi": "b/m",
        "s/x.tar: n.avi": "s/x/n",
        "s/y.tar: n.avi": "s/y/n",
        "s/x.tar: ./o.avi": "o",
    }
    assert [video.video_id for video in list_videos(join(root, "*/clip*"))] == ["boxing/clip", "tennis/clip"]


def test_a_video_both_in_a_tar_and_beside_it_is_refused(root):
    for name in ["wave/a.avi", "wave/b.avi"]:
        put(join(root, name), b"the same")
    put(join(root, "x.tar"), tar_of(("a.avi", b"the same"), ("b.avi", b"another")))
    with pytest.raises(UsageError, match=r"^1 videos in tars are duplicates: .*a\.avi and .*x\.tar: a\.avi\. Choose"):
        list_videos(root)


def test_an_id_twice_in_spite_of_its_path_is_refused(root):
    put(join(root, "x.tar"), tar_of(("c.avi", b"older"), ("c.avi", b"newest")))
    with pytest.raises(UsageError, match=r"^1 duplicate video IDs: x/c \(") as error:
        list_videos(root)
    assert "\n" not in str(error.value)


def test_what_may_be_a_video_is_counted_and_named(root, caplog):
    taken = ["a.MTS", "b.m2ts", "c.vob", "d.asf", "e.divx", "f.mpe", "g.ogv", "h.mp4"]
    plain = ["x.txt", "x.jpg", "x.wav", "x.csv.gz", "README", "Thumbs.db", ".i.gif", ".DS_Store"]
    maybe = ["1.gif", "2.GIF", "3.tar.gz", "4.rmvb", "5", "6.mp4.part", "7.mp4?x=1"]
    for name in taken + plain + maybe:
        put(join(root, name))
    put(join(root, "s.tar"), tar_of(("i.avi", b""), ("i.txt", b""), ("8.gif", b"")))
    listing = find_videos(root)
    assert [one.video.video_id for one in listing.found] == list("abcdefghi")
    assert listing.left_out.files == 8
    assert listing.left_out.kinds == {
        ".gif": 3, ".tar.gz": 1, ".rmvb": 1, "without extension": 1, ".part": 1, ".mp4": 1
    }  # fmt: skip
    (line,) = warnings(caplog)
    assert "8 files left out that may be videos: 3 .gif, 1 .tar.gz" in line
    assert "(1.gif, 2.GIF, 3.tar.gz, 4.rmvb, 5, …). Rename" in line


def test_a_folder_of_videos_and_annotations_is_taken_without_a_word(root, caplog):
    for name in ["wave/a.avi", "wave/a.txt", "wave/a.jpg", "labels.csv", "LICENSE", "a.json", "a.mp3"]:
        put(join(root, name))
    assert find_videos(root).left_out.files == 0
    assert not warnings(caplog)


def called(root: str, held: set[str]) -> dict[str, str]:
    """File → what it is called, in a run that goes on with a store of these ids."""
    found = keep_names(find_videos(root).found, held, "store")
    return {one.path: one.video.video_id for one in found}


def test_a_store_keeps_the_names_it_has(tmp_path):
    for name in ["tennis/clip.mp4", "b.avi"]:
        put(str(tmp_path / name))
    assert called(str(tmp_path), set()) == {"tennis/clip.mp4": "clip", "b.avi": "b"}
    assert called(str(tmp_path), {"tennis/clip", "boxing/clip"}) == {"tennis/clip.mp4": "tennis/clip", "b.avi": "b"}
    put(str(tmp_path / "boxing/clip.webm"))
    both = {"tennis/clip.mp4": "tennis/clip", "boxing/clip.webm": "boxing/clip", "b.avi": "b"}
    assert called(str(tmp_path), {"b", "tennis/clip"}) == both
    with pytest.raises(
        UsageError, match=r"^store: contains a video 'clip', but several videos now have this name: .*webm, .*mp4\."
    ):
        called(str(tmp_path), {"clip"})
    put(str(tmp_path / "boxing/clip.avi"))
    with pytest.raises(UsageError, match=r"^store: contains a video 'boxing/clip', but several"):
        called(str(tmp_path), {"boxing/clip", "tennis/clip"})
