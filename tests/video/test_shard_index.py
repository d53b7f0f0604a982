"""The index beside a shard is believed only where it belongs to it."""

import io
import json
import tarfile

import pytest

from attn.errors import UsageError
from attn.storage.location import Location
from attn.video.shard_index import INDEX_SUFFIX, dump_index, index_of, list_shard
from attn.video.tar_headers import Member

TRUE = [Member("a.avi", 512, 3, "wave"), Member("ü b.avi", 2048, 3, None)]


def tar_bytes() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in [("a.avi", b"123"), ("a.cls", b"wave"), ("ü b.avi", b"456")]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(params=["local", "s3"])
def shard(request, tmp_path):
    """Location of a small tar on each kind of storage."""
    folder = str(tmp_path) if request.param == "local" else request.getfixturevalue("s3")
    path = Location.at(folder) / "v-000000.tar"
    path.write_atomic(tar_bytes())
    return path


def test_without_an_index_the_headers_are_read(shard):
    assert list_shard(shard) == [Member("a.avi", 512, 3, "wave"), Member("ü b.avi", 2560, 3, None)]
    assert list_shard(shard, size=len(tar_bytes())) == list_shard(shard)


def test_an_index_that_fits_is_believed(shard):
    index_of(shard).write_atomic(dump_index(len(tar_bytes()), TRUE))
    assert index_of(shard).path.endswith("v-000000.index.json")
    assert list_shard(shard) == TRUE


@pytest.mark.parametrize(
    "content",
    [
        dump_index(len(tar_bytes()) + 512, TRUE),
        dump_index(len(tar_bytes()), [Member("a.avi", len(tar_bytes()) - 2, 3, None)]),
        dump_index(len(tar_bytes()), [Member("a.avi", -5, 3, None)]),
        dump_index(len(tar_bytes()), [Member("a.avi", 100, 3, None)]),
        dump_index(len(tar_bytes()), TRUE)[:-5],
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": [{"name": "a.avi"}]}).encode(),
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": ["a.avi"]}).encode(),
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": 3}).encode(),
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": [Member("a.avi", "512", 2, None)._asdict()]}).encode(),  # pyright: ignore
        dump_index(len(tar_bytes()), [Member("a.avi", 512.5, 3, None)]),  # pyright: ignore
        dump_index(len(tar_bytes()), [Member("a.avi", 512.0, 3, None)]),  # pyright: ignore
        dump_index(len(tar_bytes()), [Member("a.avi", 512, 10.5, None)]),  # pyright: ignore
        dump_index(len(tar_bytes()), [Member("a.avi", 512, True, None)]),
        dump_index(len(tar_bytes()), TRUE) + b" " * (2 << 20),
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": [Member("../a.avi", 512, 2, None)._asdict()]}).encode(),
        json.dumps({"tar_bytes": len(tar_bytes()), "videos": [Member(None, 512, 2, None)._asdict()]}).encode(),  # pyright: ignore
    ],
)
def test_an_index_that_does_not_fit_is_not(tmp_path, caplog, content):
    (tmp_path / "v-000000.tar").write_bytes(tar_bytes())
    (tmp_path / "v-000000.index.json").write_bytes(content)
    members = list_shard(Location.at(str(tmp_path / "v-000000.tar")))
    assert [member.offset for member in members] == [512, 2560]
    assert "does not match its shard" in caplog.text


def test_an_empty_index_is_passed_over(shard):
    """Asking a bucket for a range of an object without bytes is an error."""
    index_of(shard).write_atomic(b"")
    assert [member.offset for member in list_shard(shard)] == [512, 2560]


@pytest.mark.parametrize("tar_size", [10 << 10, 1 << 40])
def test_an_absurdly_long_index_is_not_read(tmp_path, monkeypatch, tar_size):
    with open(tmp_path / "v-000000.tar", "wb") as file:
        file.truncate(tar_size)
    with open(tmp_path / "v-000000.index.json", "wb") as file:
        file.truncate(1 << 40)
    asked, whole = [], Location.read_bytes

    def read(file, start, stop):
        if file.name.endswith(INDEX_SUFFIX):
            asked.append(stop)
        return whole(file, start, stop)

    monkeypatch.setattr(Location, "read_bytes", read)
    assert list_shard(Location.at(str(tmp_path / "v-000000.tar"))) == []
    assert len(asked) == 1
    assert asked[0] < 66 << 20


def test_an_index_may_grow_with_its_shard(tmp_path):
    """It is believed: the headers of this tar could not be read."""
    count, labels = 20_000, ["wave", "kick high"]
    videos = [Member(f"{number:08d}.avi", 512 + 2048 * number, 500, labels[number % 2]) for number in range(count)]
    with open(tmp_path / "v-000000.tar", "wb") as tar:
        tar.truncate(2048 * count)
    index = dump_index(2048 * count, videos)
    assert len(index) > 1 << 20
    (tmp_path / "v-000000.index.json").write_bytes(index)
    assert list_shard(Location.at(str(tmp_path / "v-000000.tar"))) == videos


def test_missing_and_damaged_shards(shard):
    with pytest.raises(UsageError, match=r"w-000000\.tar: does not exist"):
        list_shard(shard.at_path(shard.path.replace("v-", "w-")))
    shard.write_atomic(tar_bytes()[:600])
    with pytest.raises(UsageError, match=r"v-000000\.tar: damaged"):
        list_shard(shard)
