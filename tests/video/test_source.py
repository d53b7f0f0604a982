"""Videos from folders, shards, single files and globs, on the local disk and on S3, and what can be wrong with them."""

import gc
import os
import time
from pathlib import Path

import pytest

from attn.errors import UsageError, VideoError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video import source, spill
from attn.video.source import Video, list_videos, open_video, read_video
from tests.video.shards import put, tar_of

CLASSES = ("wave", "kick high")


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty folder on each kind of storage."""
    return str(tmp_path / "videos") if request.param == "local" else join(request.getfixturevalue("s3"), "videos")


def content(video: Video) -> bytes:
    with open_video(video) as path:
        assert path.suffix == os.path.splitext(video.name)[1]
        return path.read_bytes()


def test_folder_tree(root):
    names = ["wave/b.avi", "kick high/a.b.c.AVI", "kick high/Größe 操作.mp4", "elsewhere/deep/d.MKV", "e [1].mov"]
    for name in [*names, "wave/readme.txt", ".hidden/h.avi", "wave/.h.avi", "noextension", "x.avi.part"]:
        put(join(root, name), name.encode())
    videos = list_videos(root, CLASSES)
    assert [(video.video_id, video.label) for video in videos] == [
        ("Größe 操作", 1),
        ("a.b.c", 1),
        ("b", 0),
        ("d", None),
        ("e [1]", None),
    ]
    assert sorted(content(video).decode() for video in videos) == sorted(names)
    assert all(video.offset is None and video.size == len(content(video)) for video in videos)


def test_one_file(root):
    put(join(root, "wave/b.avi"))
    url = put(join(root, "wave/odd [1] *?.avi"), b"odd")
    (video,) = list_videos(url, CLASSES)
    assert (video.video_id, video.url, video.label, content(video)) == ("odd [1] *?", url, 0, b"odd")


def test_glob(root):
    for name in ["wave/v_1.avi", "wave/v_2.avi", "kick high/v_3.avi", "kick high/deep/v_4.avi", "w_5.avi"]:
        put(join(root, name))

    def found(pattern: str) -> list[str]:
        return [video.video_id for video in list_videos(join(root, pattern))]

    assert found("*/v_[13].avi") == ["v_1", "v_3"]
    assert found("kick*") == ["v_3", "v_4"]
    assert found("**/v_*") == ["v_1", "v_2", "v_3", "v_4"]
    assert found("?_5.avi") == ["w_5"]
    with pytest.raises(UsageError, match=r"x\*: no files found\. Supported formats"):
        found("x*")


def test_shards_of_other_makers(root):
    put(join(root, "a.tar"), tar_of(("wave/b.avi", b"bb"), ("c.d.MP4", b"ccc"), ("c.d.cls", b"kick high")))
    put(join(root, "deep/b.tar"), tar_of(("./e.mp4", b"e"), ("e.json", b'{"label": 1}'), ("notes.txt", b"")))
    put(join(root, "deep/empty.tar"), tar_of(("notes.txt", b"")))
    put(join(root, "kick high/f.avi"), b"f")
    videos = list_videos(root, CLASSES)
    assert [(video.video_id, video.label, content(video)) for video in videos] == [
        ("b", 0, b"bb"),
        ("c.d", 1, b"ccc"),
        ("e", 1, b"e"),
        ("f", 1, b"f"),
    ]
    assert [video.label for video in list_videos(root)] == [None] * 4
    assert [video.video_id for video in list_videos(join(root, "a.tar"))] == ["b", "c.d"]


def test_labels(tmp_path):
    for name in ["wave/a.avi", "clips/b.avi", "clips/c.avi"]:
        put(str(tmp_path / name))
    labels = {"a": "kick high", "b": "kick high", "unheard": "of"}
    assert [video.label for video in list_videos(str(tmp_path), CLASSES, labels)] == [0, 1, None]
    with pytest.raises(UsageError, match="'jump' of video 'b' is not in the class list"):
        list_videos(str(tmp_path), CLASSES, {"b": "jump"})
    labels = {"/elsewhere/clips/b.avi": "Kick_High", "c.avi": "wave"}
    assert [video.label for video in list_videos(str(tmp_path), CLASSES, labels)] == [0, 1, 0]
    with pytest.raises(
        UsageError, match=r"match none of the 3 videos: the first label is that of 'd\.avi', the first video is 'a'"
    ):
        list_videos(str(tmp_path), CLASSES, {"d.avi": "wave"})
    with pytest.raises(
        UsageError, match=r"'a' has two labels, 'wave' as 'a\.avi' and 'kick high' as 'x/a\.avi'\. Remove"
    ):
        list_videos(str(tmp_path), CLASSES, {"a.avi": "wave", "x/a.avi": "kick high"})
    put(str(tmp_path / "tars" / "x.tar"), tar_of(("d.avi", b""), ("d.cls", b"2")))
    with pytest.raises(UsageError, match="label 2 stored with video 'd' is out of range: the class list has 2 names"):
        list_videos(str(tmp_path / "tars"), CLASSES)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "no files found. Supported formats: 264 265"),
        ([".hidden.avi"], "no files found. Supported formats: 264 265"),
        (["a.txt", "b.jpg"], "no videos found, only 2 other files. Supported formats: 264 265"),
    ],
)
def test_nothing_to_see(tmp_path, names, complaint):
    for name in names:
        put(str(tmp_path / name))
    with pytest.raises(UsageError, match=complaint):
        list_videos(str(tmp_path))


def test_tars_without_a_video(tmp_path):
    put(str(tmp_path / "a.tar"), tar_of(("a.txt", b"")))
    with pytest.raises(UsageError, match="no videos found, only 1 tars without videos"):
        list_videos(str(tmp_path))


def test_missing_places(tmp_path, s3):
    with pytest.raises(UsageError, match=r"nowhere: does not exist"):
        list_videos(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"nowhere/x\.avi: does not exist"):
        list_videos(str(tmp_path / "nowhere" / "x.avi"))
    with pytest.raises(UsageError, match=r"nowhere/\*\.avi: no files found"):
        list_videos(str(tmp_path / "nowhere" / "*.avi"))
    with pytest.raises(UsageError, match=r"nowhere: no files found"):
        list_videos(join(s3, "nowhere"))
    for url in ["s3://attn-no-such-bucket/x", "s3://attn-no-such-bucket", "s3://attn-no-such-bucket/x/*.avi"]:
        with pytest.raises(UsageError, match="bucket does not exist"):
            list_videos(url)


def test_a_damaged_shard_is_named(root):
    put(join(root, "a.tar"), tar_of(("a.avi", b"")))
    put(join(root, "b.tar"), tar_of(("b.avi", b"x" * 5000))[:3000])
    with pytest.raises(UsageError, match=r"b\.tar: damaged"):
        list_videos(root)


@pytest.mark.parametrize("name", [b"caf\xe9.avi", b"caf\xe9/a.avi"])
def test_names_that_are_no_text(tmp_path, name):
    (tmp_path / "good.avi").touch()
    path = os.fsencode(tmp_path) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass
    with pytest.raises(UsageError, match=r"1 paths are not UTF-8: '.*/caf\\udce9.*\.avi'\. Rename them"):
        list_videos(str(tmp_path))


def test_the_time_per_file_does_not_grow_with_their_number(tmp_path):
    def cpu_s(folders):
        root = tmp_path / str(folders)
        for folder in range(folders):
            (root / f"class {folder}").mkdir(parents=True)
            for number in range(133):
                (root / f"class {folder}" / f"v_{folder}_{number}.avi").touch()
        classes, measured = [f"class {number}" for number in range(folders)], []
        for _ in range(3):
            started_s = time.process_time()
            assert len(list_videos(str(root), classes)) == 133 * folders
            measured.append(time.process_time() - started_s)
        return min(measured)

    gc.disable()  # a collection takes as long as the many objects of other tests make it
    try:
        assert cpu_s(100) < 30 * cpu_s(10)
    finally:
        gc.enable()


def test_a_local_file_is_not_copied(tmp_path):
    url = put(str(tmp_path / "a b.avi"))
    with open_video(Video("a b", url, None, None, None)) as path:
        assert path == tmp_path / "a b.avi"
    assert path.exists()


def test_a_copy_is_gone_afterwards_and_lies_in_memory(root, tmp_path, monkeypatch):
    memory = tmp_path / "shm"
    memory.mkdir()
    monkeypatch.setattr(spill, "MEMORY", memory)
    put(join(root, "x.tar"), tar_of(("a.AVI", b"12345"), ("b.avi", b"6")))
    video, _ = list_videos(root)
    with open_video(video) as path:
        assert (path.parent, path.suffix, path.read_bytes()) == (memory, ".AVI", b"12345")
    assert list(memory.iterdir()) == []


def test_copies_are_made_piece_by_piece(root, monkeypatch):
    monkeypatch.setattr(source, "LOCAL_CHUNK_BYTES", 1000)
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 1000)
    for size in (0, 1, 999, 1000, 1001, 3500):
        data = os.urandom(size)
        url = put(join(root, "x.tar"), tar_of(("other.avi", b"x" * 600), ("a.avi", data)))
        video = list_videos(url)[0]
        told, pieces = read_video(video)
        pieces = list(pieces)
        assert (told, b"".join(pieces)) == (size, data)
        assert all(len(piece) <= 1000 for piece in pieces)
        assert content(video) == data


def test_videos_that_vanish(root):
    videos = []
    for name in ["a.avi", "x.tar"]:
        url = put(join(root, name), tar_of(("b.avi", b"x" * 5000)))
        videos += list_videos(url)
        Location.at(url).remove()
    for video in videos:
        with pytest.raises(VideoError, match="does not exist"), open_video(video):
            pytest.fail("there is nothing to open")


def test_a_shard_that_shrinks(root):
    shard = tar_of(("b.avi", b"x" * 5000))
    url = put(join(root, "x.tar"), shard)
    (video,) = list_videos(url)
    put(url, shard[:2512])
    with pytest.raises(VideoError, match=r"x\.tar: b\.avi: cut off at byte 2000 of 5000"), open_video(video):
        pytest.fail("there is nothing to open")


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "dangling.avi").symlink_to("nowhere")
    (video,) = list_videos(str(tmp_path))
    with pytest.raises(VideoError, match=r"dangling\.avi: does not exist"), open_video(video):
        pytest.fail("there is nothing to open")
    os.mkfifo(tmp_path / "pipe.avi")
    (tmp_path / "folder.avi").mkdir()
    for name in ("pipe", "folder"):
        with (
            pytest.raises(VideoError, match="not a regular file"),
            open_video(Video(name, str(tmp_path / f"{name}.avi"), None, None, None)),
        ):
            pytest.fail("there is nothing to open")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    path = tmp_path / "a.avi"
    path.touch(mode=0)
    (video,) = list_videos(str(tmp_path))
    with pytest.raises(VideoError, match="permission denied"), open_video(video):
        pytest.fail("there is nothing to open")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(UsageError, match="permission denied"):
        list_videos(str(tmp_path))


def test_the_body_keeps_its_own_errors(root):
    (video,) = list_videos(put(join(root, "a.avi")))
    with pytest.raises(FileNotFoundError), open_video(video):
        raise FileNotFoundError("another file")


def test_real_clips(real_data):
    videos = list_videos(str(real_data / "ucf101" / "UCF-101"), ("SoccerJuggling", "BaseballPitch"))
    assert {video.video_id: video.label for video in videos} == {
        "v_ApplyEyeMakeup_g01_c01": None,
        "v_BaseballPitch_g01_c01": 1,
        "v_SoccerJuggling_g23_c01": 0,
    }
