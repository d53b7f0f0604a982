"""Packed and listed again, every byte and label is the same, wherever the shards lie and whatever fails on the way."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from attn.errors import FleetingError, UsageError
from attn.storage.filesystem import join
from attn.storage.listing import list_files, names_in
from attn.storage.location import Location
from attn.video import shard_index, shards
from attn.video.shards import clear_shards, find_shards, plan_shards, write_shards
from attn.video.source import Video, list_videos, open_video, read_video

CLASSES = ("wave", "kick high")
NAMES = ["wave/a b.avi", "kick high/a.b.c.MP4", "wave/Größe 操作.avi", "elsewhere/" + "x" * 120 + ".mkv", "wave/z.avi"]


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    """Files with awkward names, of 0 to 4000 bytes."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000 * number))
    return list_videos(str(tmp_path / "videos"), CLASSES)


@pytest.fixture(params=["local", "s3"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a folder that does not exist yet."""
    return str(tmp_path / "out") if request.param == "local" else join(request.getfixturevalue("s3"), "out")


def contents(videos: list[Video]) -> dict[str, tuple[int | None, bytes]]:
    found = {}
    for video in videos:
        with open_video(video) as path:
            found[path.suffix, video.video_id] = (video.label, path.read_bytes())
    return found


def shard_bytes(url: str) -> dict[str, bytes]:
    folder = Location.at(url)
    return {os.path.basename(path): folder.at_path(path).read_bytes() for path, _ in list_files(folder)}


def test_pack_list_open(videos, out):
    told = []
    packed = write_shards(videos, out, 3000, "ucf101", class_names=CLASSES, report=told.append)
    assert [one.video for one in packed] == videos
    assert {one.video.video_id: one.size for one in told} == {video.video_id: video.size for video in videos}
    assert find_shards(out, "ucf101") == [f"ucf101-00000{number}.tar" for number in range(3)]
    again = list_videos(out, CLASSES)
    assert contents(again) == contents(videos)
    assert {video.where for video in again if video.video_id == "z"} == {f"{out}/ucf101-000002.tar: z.avi"}


def test_without_the_index_it_is_the_same(videos, out, monkeypatch):
    write_shards(videos, out, 3000, "v", class_names=CLASSES)
    with monkeypatch.context() as patched:
        patched.setattr(shard_index, "read_members", lambda *_: pytest.fail("the index was not used"))
        with_index = list_videos(out, CLASSES)
    folder = Location.at(out)
    for name in names_in(folder):
        if name.endswith(".index.json"):
            (folder / name).remove()
    assert list_videos(out, CLASSES) == with_index


def test_shards_packed_again_keep_their_labels(videos, tmp_path):
    write_shards(videos, str(tmp_path / "first"), 3000, "v", class_names=CLASSES)
    first = list_videos(str(tmp_path / "first"), CLASSES)
    write_shards(first, str(tmp_path / "second"), 10**9, "v", class_names=CLASSES)
    assert contents(list_videos(str(tmp_path / "second"), CLASSES)) == contents(videos)


def test_the_bytes_are_fixed(videos, tmp_path, s3, monkeypatch):
    write_shards(videos, str(tmp_path / "one"), 3000, "v")
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", 1)
    for path in (tmp_path / "videos").rglob("*.*"):
        os.utime(path, (0, 0))
    for out in (str(tmp_path / "two"), s3):
        write_shards(reversed(videos), out, 3000, "v")
        assert shard_bytes(out) == shard_bytes(str(tmp_path / "one"))


def test_the_notes_of_a_video(videos, tmp_path):
    write_shards(videos, str(tmp_path / "out"), 10**9, "v", class_names=CLASSES)
    with tarfile.open(tmp_path / "out" / "v-000000.tar") as tar:
        assert tar.getnames()[:2] == ["Größe 操作.avi", "Größe 操作.json"]
        notes = json.loads(tar.extractfile("a.b.c.json").read())
    assert notes["label"] == "kick high"
    assert notes["source"] == str(tmp_path / "videos" / "kick high" / "a.b.c.MP4")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(100, [["a", "b", "c", "d"]]), (6, [["a", "b"], ["c"], ["d"]]), (1, [["a"], ["b"], ["c"], ["d"]])],
)
def test_plan(limit, expected):
    sizes = {"d": 7, "c": 5, "a": 2, "b": None}
    videos = [Video(video_id, f"{video_id}.avi", None, None, size) for video_id, size in sizes.items()]
    assert [[video.video_id for video in shard] for shard in plan_shards(videos, limit)] == expected


def test_videos_that_cannot_be_read_are_left_out(videos, out, tmp_path):
    (tmp_path / "videos" / NAMES[1]).unlink()
    (tmp_path / "videos" / NAMES[4]).unlink()
    gone = Video("gone", str(tmp_path / "gone.avi"), None, None, None)
    packed = write_shards([*videos, gone], out, 3000, "v", class_names=CLASSES)
    errors = {one.video.video_id: one.error for one in packed if one.error}
    assert errors.keys() == {"a.b.c", "z", "gone"}
    assert all("does not exist" in error for error in errors.values())
    assert "v-000002.tar" not in find_shards(out, "v"), "a shard without a video was written"
    left = [video for video in videos if video.video_id not in errors]
    assert contents(list_videos(out, CLASSES)) == contents(left)


def test_a_video_that_cannot_be_read_now_is_tried_again(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "PAUSES_S", (0.0, 0.0))
    outages = {"a.b.c": 2, "z": 3}  # of what the storage answers to these, so many are half a video

    def read(video):
        size, pieces = read_video(video)
        if not outages.get(video.video_id):
            return size, pieces
        outages[video.video_id] -= 1
        return size, half(pieces)

    def half(pieces):
        yield next(pieces)[:100]
        raise FleetingError("the storage does not answer")

    monkeypatch.setattr(shards, "read_video", read)
    packed = write_shards(videos, str(tmp_path / "out"), 3000, "v", class_names=CLASSES)
    assert {one.video.video_id: one.error for one in packed if one.error} == {"z": "the storage does not answer"}
    left = [video for video in videos if video.video_id != "z"]
    assert contents(list_videos(str(tmp_path / "out"), CLASSES)) == contents(left)


def test_clear_removes_ours_and_nothing_else(videos, out):
    write_shards(videos, out, 3000, "v")
    write_shards(videos, out, 3000, "v-2")
    folder = Location.at(out)
    hidden = [".v-000007.tar.0123abcd.tmp", ".v-000007.index.json.0123abcd.tmp"]
    others = ["v.tar", "v-1.tar", "v-000000.tar.bak", "w-000000.tar", ".v-000007.tar", "notes.txt"]
    for name in hidden + others:
        (folder / name).write_atomic(b"x")
    clear_shards(out, "v")
    clear_shards(out, "v")
    second = [f"v-2-00000{number}.{kind}" for number in range(3) for kind in ("tar", "index.json")]
    assert sorted(names_in(folder)) == sorted(others + second)
    assert find_shards(out, "v") == []
    assert len(find_shards(out, "v-2")) == 3


def test_places_that_cannot_be_written(videos, tmp_path, s3):
    (tmp_path / "file").touch()
    for out, complaint in [
        (str(tmp_path / "file"), "a file exists"),
        ("s3://attn-no-such-bucket/x", "bucket does not"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            find_shards(out, "v")
        with pytest.raises(UsageError, match=complaint):
            write_shards(videos, out, 3000, "v")


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_error_stops_the_other_shards(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", at_once)
    (tmp_path / "a.avi").write_bytes(b"video")
    videos = [Video(f"{number:03}", str(tmp_path / "a.avi"), None, None, 5) for number in range(300)]
    told = []

    def report(packed):
        told.append(packed)
        if len(told) >= 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_shards(videos, str(tmp_path / "out"), 1, "v", report=report)
    assert 5 <= len(told) < 5 + at_once
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".tar", ".json"}, "half a shard stayed"


def test_a_killed_pack_leaves_no_half_shard(tmp_path):
    big = tmp_path / "videos" / "b.avi"
    big.parent.mkdir()
    (big.parent / "a.avi").write_bytes(b"a" * 1000)
    with open(big, "wb") as file:
        file.truncate(400 << 20)
    script = (
        "import sys\n"
        "from attn.video.shards import write_shards\n"
        "from attn.video.source import list_videos\n"
        "write_shards(list_videos(sys.argv[1]), sys.argv[2], 1, 'v')\n"
    )
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", script, str(big.parent), str(out)])
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s and process.poll() is None:
        finished = (out / "v-000000.index.json").exists()
        if finished and any(path.stat().st_size > 1 << 20 for path in out.glob(".v-000001.tar.*")):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert find_shards(str(out), "v") == ["v-000000.tar"]
    assert [video.video_id for video in list_videos(str(out))] == ["a"]
    clear_shards(str(out), "v")
    assert list(out.iterdir()) == []
