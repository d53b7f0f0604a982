"""What `pack` refuses before it writes anything, and what it says while it works."""

import time

import pytest

from attn.commands.pack import Heartbeat, pack
from attn.commands.pack_options import PackOptions
from attn.errors import UsageError
from attn.storage.listing import list_files
from attn.storage.location import Location
from attn.video.shards import Packed
from attn.video.source import Video, list_videos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with two videos in `videos/wave`."""
    (tmp_path / "videos" / "wave").mkdir(parents=True)
    for name in ("a.avi", "b.avi"):
        (tmp_path / "videos" / "wave" / name).write_bytes(b"video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"videos": "nowhere"}, "nowhere: does not exist"),
        ({"videos": "empty"}, "empty: no files found"),
        ({"shard_mb": 0}, "--shard-mb 0: must be above 0"),
        ({"name": "a/b"}, "--name 'a/b': not a file name"),
        ({"name": "a b"}, "--name 'a b': not a file name"),
        ({"name": ".a"}, r"--name '\.a': not a file name"),
        ({"name": ""}, "--name '': not a file name"),
        ({"out": "occupied/x"}, "a file exists where a folder is needed"),
        ({"out": "videos/shards"}, "in the folder of --videos"),
        ({"out": "videos"}, "in the folder of --videos"),
        ({"out": "foo://x"}, "foo://x: Protocol not known: foo"),
        ({"classes": "nowhere.txt"}, r"nowhere\.txt: does not exist"),
        ({"classes": "occupied"}, "occupied: the class list is empty"),
    ],
)
def test_usage_errors_write_nothing(folder, flags, complaint):
    (folder / "empty").mkdir()
    (folder / "occupied").touch()
    before = sorted(list_files(Location.at(str(folder))))
    with pytest.raises(UsageError, match=complaint):
        pack(PackOptions(**({"videos": "videos", "out": "out"} | flags)))
    assert sorted(list_files(Location.at(str(folder)))) == before


def test_shards_are_not_packed_into_themselves(folder):
    options = PackOptions(videos="videos", out="out")
    assert pack(options) == 0
    before = list_videos("out")
    (folder / "alias").symlink_to("out")
    with pytest.raises(UsageError, match="out: --overwrite would remove shards that contain the videos"):
        pack(PackOptions(videos="alias", out="out", overwrite=True))
    assert list_videos("out") == before
    assert pack(PackOptions(videos="alias", out="out", name="again")) == 0


def test_files_of_one_name_keep_their_ids(folder):
    for name in ("kick/a.avi", "b.mkv", "kick/b.avi", "kick/b.mp4"):
        (folder / "videos" / name).parent.mkdir(exist_ok=True)
        (folder / "videos" / name).write_bytes(name.encode())
    before = {video.video_id: video.label for video in list_videos("videos", ("kick", "wave"))}
    assert before.keys() == {"wave/a", "kick/a", "./b", "kick/b.avi", "kick/b.mp4", "wave/b"}
    assert pack(PackOptions("videos", "out")) == 0
    assert {video.video_id: video.label for video in list_videos("out", ("kick", "wave"))} == before


@pytest.mark.parametrize(("classes", "expected"), [(None, [0, 0]), ("kick\nwave\n", [0, 0]), ("kick\n", [None, None])])
def test_labels_are_folder_names_or_classes(folder, classes, expected):
    if classes is not None:
        (folder / "classes.txt").write_text(classes)
    assert pack(PackOptions("videos", "out", classes=None if classes is None else "classes.txt")) == 0
    assert [video.label for video in list_videos("out", ("wave",))] == expected


def test_heartbeat(monkeypatch, caplog):
    monkeypatch.setattr("attn.commands.pack.HEARTBEAT_S", 0.01)
    caplog.set_level("INFO")
    videos = [Video(name, f"{name}.avi", None, None, 3_000_000) for name in "abc"]
    with Heartbeat(videos) as heartbeat:
        time.sleep(0.1)
        assert heartbeat.line() == "0/3 videos, 0.0 MB/s, 0 failed, ETA unknown"
        heartbeat.add(Packed(videos[0], 3_000_000))
        heartbeat.add(Packed(videos[1], 0, error="b.avi: does not exist"))
        time.sleep(0.1)
        assert heartbeat.line().startswith("1/3 videos, ")
        assert " 1 failed, ETA 0:00:0" in heartbeat.line()
    assert "left out: b.avi: does not exist" in caplog.messages
    assert "0/3 videos, 0.0 MB/s, 0 failed, ETA unknown" in caplog.messages
    beats = len(caplog.messages)
    time.sleep(0.05)
    assert len(caplog.messages) == beats, "it went on beating"
