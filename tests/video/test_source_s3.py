"""What is fetched of shards and folders on S3, counted on the wire, and what of it touches a disk."""

import contextlib
import dataclasses
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video import source, spill
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.shards import write_shards
from attn.video.source import list_videos, open_video, read_video
from attn.video.unchanged import HEADER_BYTES

KB = 1 << 10


@dataclasses.dataclass
class Wire:
    """What went over it, by path of the object: bytes fetched and numbers of requests."""

    bytes: dict[str, int]
    requests: dict[str, int]

    def reset(self) -> None:
        self.bytes.clear()
        self.requests.clear()


@pytest.fixture
def wire(s3: str, monkeypatch: pytest.MonkeyPatch, forget_s3_clients) -> Iterator[Wire]:
    """A second server before the same buckets, which counts what it sends."""
    app, wire = DomainDispatcherApplication(create_backend_app), Wire({}, {})

    def counted(environ, start_response):
        path = environ["PATH_INFO"].rpartition("/")[2]
        wire.requests[path] = wire.requests.get(path, 0) + 1
        for piece in app(environ, start_response):
            if environ["REQUEST_METHOD"] == "GET":
                wire.bytes[path] = wire.bytes.get(path, 0) + len(piece)
            yield piece

    server = make_server("127.0.0.1", 0, counted, threaded=True)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    forget_s3_clients()
    yield wire
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The memory disk and the temporary folder, both empty."""
    memory, temporary = tmp_path / "memory", tmp_path / "temporary"
    memory.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(spill, "MEMORY", memory)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return memory, temporary


def shard(url: str, members: dict[str, bytes]) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    Location.at(url).write_atomic(buffer.getvalue())
    return url


def noise(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def test_a_member_is_read_by_ranges_and_the_shard_never_copied(s3, wire, disks, monkeypatch):
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 100 * KB)
    members = {f"v{i}.avi": noise(700 * KB, i) for i in range(8)}
    videos = list_videos(shard(join(s3, "x.tar"), members))
    wire.reset()
    memory, temporary = disks
    with open_video(videos[3]) as path:
        assert path.read_bytes() == members["v3.avi"]
        assert list(memory.iterdir()) == [path]
        assert list(temporary.iterdir()) == []
    assert wire.bytes == {"x.tar": 700 * KB + 2 * HEADER_BYTES}
    assert wire.requests == {"x.tar": 7 + 1}  # the header once more, as it took several pieces
    assert [*memory.iterdir(), *temporary.iterdir()] == []


def test_pieces_are_fetched_as_they_are_asked_for(s3, wire, disks, monkeypatch):
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 100 * KB)
    (video,) = list_videos(shard(join(s3, "x.tar"), {"v.avi": noise(700 * KB, 0)}))
    wire.reset()
    size, pieces = read_video(video)
    assert (size, wire.bytes) == (700 * KB, {})
    next(pieces)
    assert wire.bytes == {"x.tar": 100 * KB + HEADER_BYTES}


def test_a_file_is_read_by_ranges(s3, wire, disks, monkeypatch):
    monkeypatch.setattr(source, "REMOTE_CHUNK_BYTES", 100 * KB)
    for size, requests in (
        (100 * KB, 2),
        (700 * KB, 9),
    ):  # its size, its pieces; where they are several, whether it changed
        (Location.at(s3) / "v.avi").write_atomic(noise(size, 0))
        (video,) = list_videos(join(s3, "v.avi"))
        wire.reset()
        with open_video(video) as path:
            assert path.read_bytes() == noise(size, 0)
        assert wire.bytes == {"v.avi": size}
        assert wire.requests == {"v.avi": requests}


def test_a_foreign_shard_is_listed_from_its_headers(s3, wire, disks):
    url = shard(join(s3, "x.tar"), {f"v{i}.avi": noise(700 * KB, i) for i in range(8)})
    wire.reset()
    assert len(list_videos(url)) == 8
    assert wire.bytes["x.tar"] <= 9 * 32 * KB
    assert [*disks[0].iterdir(), *disks[1].iterdir()] == []


def test_our_own_shards_are_listed_from_their_indices_and_decoded_one_member_at_a_time(
    s3, wire, disks, write_clip, numbered
):
    clips = [write_clip(numbered(4, 96, 128), name=f"member{i}.mkv") for i in range(3)]
    sizes = {clip.stem: clip.stat().st_size for clip in clips}
    write_shards(list_videos(str(clips[0].parent / "member*.mkv")), join(s3, "shards"), 1 << 30, "x")
    wire.reset()
    videos = list_videos(join(s3, "shards"))
    assert wire.bytes.get("x-000000.tar", 0) == 0
    with contextlib.closing(FrameReader()) as reader:
        for video in videos:
            wire.reset()
            with open_video(video) as path:
                assert sum(len(chunk.index) for chunk in reader.read(path, Stride(1), size=32)) == 4
                assert list(disks[1].iterdir()) == []
            assert wire.bytes == {"x-000000.tar": sizes[video.video_id] + HEADER_BYTES}
            assert wire.requests == {"x-000000.tar": 1}
    assert [*disks[0].iterdir(), *disks[1].iterdir()] == []


def test_a_folder_of_more_videos_than_one_listing_shows(s3):
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # the server's own memory: 1100 uploads would take seconds
    for number in range(1100):
        bucket.put_object(s3.removeprefix("s3://"), f"videos/class{number % 7}/v{number:04}.avi", b"x")
    names = [f"class{number}" for number in range(7)]
    found = list_videos(join(s3, "videos"), names)
    assert [(video.video_id, video.label) for video in found] == [(f"v{i:04}", i % 7) for i in range(1100)]
