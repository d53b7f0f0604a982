"""Files and shards that are replaced or changed after they were listed, or while they are read."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from attn.errors import FleetingError, VideoError
from attn.schema import VIDEO_ID
from attn.stages.decode_videos import DecodeVideos
from attn.storage.failures import Failure
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.writer import LAST
from attn.video import source
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos, open_video, read_video
from tests.video.shards import put, tar_of


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty folder on each kind of storage."""
    return str(tmp_path) if request.param == "local" else request.getfixturevalue("s3")


OTHERS = {
    "another video": (("c.avi", b"y" * 5000),),
    "another video of the same name": (("b.avi", b"y" * 4999),),
    "the same one, elsewhere": (("a.avi", b"x" * 2000), ("b.avi", b"x" * 5000)),
    "a shorter shard": (("b.avi", b""),),
    "a folder": (("b.avi/", b""),),
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS.keys())
def test_a_shard_that_was_replaced_gives_no_other_video(root, others):
    url = put(join(root, "x.tar"), tar_of(("first.avi", b""), ("b.avi", b"x" * 5000)))
    video, _ = list_videos(url)
    put(url, tar_of(("first.avi", b""), *others))
    with (
        pytest.raises(VideoError, match=r"x\.tar: b\.avi: (the shard changed since it was listed|cut off)"),
        open_video(video),
    ):
        pytest.fail("this is another video")


def test_a_shard_that_is_replaced_while_a_member_is_read_is_not_spliced(root, monkeypatch):
    monkeypatch.setattr(source, "LOCAL_CHUNK_BYTES", 1000)
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 1000)
    url = put(join(root, "x.tar"), tar_of(("b.avi", b"x" * 3000)))
    (video,) = list_videos(url)
    _, pieces = read_video(video)
    next(pieces)
    put(url, tar_of(("c.avi", b"y" * 3000)))
    with pytest.raises(VideoError, match=r"x\.tar: b\.avi: changed while it was read\. Run again\."):
        list(pieces)


@pytest.mark.parametrize("data", [b"y" * 3000, b"x" * 3000 + b"y"])
def test_a_file_that_is_replaced_while_it_is_read_is_not_spliced(root, monkeypatch, data):
    monkeypatch.setattr(source, "LOCAL_CHUNK_BYTES", 1000)
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 1000)
    (video,) = list_videos(put(join(root, "b.avi"), b"x" * 3000))
    _, pieces = read_video(video)
    next(pieces)
    put(video.url, data)
    with pytest.raises(VideoError, match=r"b\.avi: changed while it was read\. Run again\."):
        list(pieces)


def test_a_file_that_ends_too_early_may_be_whole_at_the_next_try_and_a_shard_not(root):
    def error_of(url: str, cut: bytes) -> type[VideoError]:
        (video,) = list_videos(url)
        _, pieces = read_video(video)
        put(url, cut)
        with pytest.raises(VideoError, match="cut off at byte 1000 of 3000") as raised:
            list(pieces)
        return type(raised.value)

    shard = tar_of(("b.avi", b"x" * 3000))
    assert error_of(put(join(root, "a.avi"), b"x" * 3000), b"x" * 1000) is FleetingError
    assert error_of(put(join(root, "x.tar"), shard), shard[: 512 + 1000]) is VideoError


def replaced(path: Path) -> None:
    put(str(path), b"other")


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def written_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"V")


@pytest.mark.parametrize("change", [replaced, grown, written_over])
def test_a_local_file_that_changes_while_it_is_open(tmp_path, change):
    (video,) = list_videos(put(str(tmp_path / "a.avi"), b"video"))
    with pytest.raises(VideoError, match=r"a\.avi: changed while it was read"), open_video(video) as path:
        change(path)
    with open_video(video) as path:
        assert path.read_bytes() != b"video"


def test_what_seems_damaged_because_it_changed_may_be_tried_again(tmp_path: Path) -> None:
    (video,) = list_videos(put(str(tmp_path / "a.avi"), b"video"))

    def seem_damaged(change: Callable[[Path], object]) -> type[VideoError]:
        try:
            with open_video(video) as path:
                change(path)
                raise VideoError("no frames")
        except VideoError as error:
            return type(error)

    assert seem_damaged(grown) is FleetingError
    assert seem_damaged(Path.stat) is VideoError


def test_a_video_that_changes_while_it_is_decoded_is_never_complete(tmp_path, write_clip, numbered):
    """The stage holds the last rows back until the file is closed."""
    path = tmp_path / "a.mkv"
    path.write_bytes(write_clip(numbered(50, 32, 32)).read_bytes())
    with FrameReader() as reader:
        items = DecodeVideos(Stride(1), size=16, batch_size=8)(list_videos(str(path)), reader)
        batches, failures = [next(items)], []
        grown(path)
        for item in items:
            (failures if isinstance(item, Failure) else batches).append(item)
    assert [failure.message for failure in failures] == [f"{path}: changed while it was read. Run again."]
    assert not any(batch[LAST].any() for batch in batches)


def test_what_a_disk_refuses_now_is_not_taken_for_damage(tmp_path, write_clip, numbered, monkeypatch):
    """Neither cut off nor no video, for ever; what is whole is not read twice."""
    content = write_clip(numbered(50, 32, 32)).read_bytes()
    files = {"whole.mkv": content, "cut.mkv": content[: len(content) // 2], "none.mkv": b"no video"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    asked = []

    def found() -> tuple[set[str], dict[str, str]]:
        items = list(DecodeVideos(Stride(1), size=16, batch_size=8)(list_videos(str(tmp_path)), reader))
        ended = {name for batch in items if isinstance(batch, dict) for name in batch[VIDEO_ID][batch[LAST]]}
        return ended, {item.video_id: item.error for item in items if isinstance(item, Failure)}

    def refuse(file, *told):
        asked.append(file.name)
        raise OSError(errno.EIO, "Input/output error")

    with FrameReader() as reader:
        assert found() == ({"whole", "cut"}, {"none": "VideoError"})
        monkeypatch.setattr(Location, "read_bytes", refuse)
        assert found() == ({"whole"}, {"cut": "FleetingError", "none": "FleetingError"})
    assert sorted(asked) == ["cut.mkv", "none.mkv"]
