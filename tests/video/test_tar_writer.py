"""The tar is a plain tar, its bytes are fixed, and a video that fails leaves no trace in it."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from hashlib import sha256

import pytest

from attn.errors import VideoError
from attn.video.tar_headers import Member
from attn.video.tar_writer import TarWriter

NAMES = ["v.avi", "a.b.c.MP4", "two words.avi", "Größe 操作.avi", "x" * 95 + ".avi", "y" * 240 + ".avi"]


def add(tar: TarWriter, name: str, data: bytes, label: str | None = "wave") -> Member:
    return tar.add_video(name, len(data), iter([data[:2], data[2:]]), source=f"/from/{name}", label=label)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5000])
def test_the_standard_library_reads_it(size):
    file = io.BytesIO()
    tar = TarWriter(file)
    contents = {name: os.urandom(size) for name in NAMES}
    members = [add(tar, name, data) for name, data in contents.items()]
    assert tar.close() == len(file.getvalue())
    assert len(file.getvalue()) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as standard:
        for member, info, notes in zip(members, standard.getmembers()[::2], standard.getmembers()[1::2], strict=True):
            assert member == Member(info.name, info.offset_data, info.size, "wave")
            assert standard.extractfile(info).read() == contents[info.name]
            assert notes.name == info.name.rpartition(".")[0] + ".json"
            assert json.loads(standard.extractfile(notes).read()) == {
                "label": "wave",
                "sha256": sha256(contents[info.name]).hexdigest(),
                "source": f"/from/{info.name}",
            }
            assert (info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644)


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
def test_tar_reads_it(tmp_path):
    with open(tmp_path / "a.tar", "wb") as file:
        tar = TarWriter(file)
        for name in NAMES:
            add(tar, name, b"video")
        tar.close()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    unpacked = subprocess.run(["tar", "xf", "a.tar"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert unpacked.stderr == b""
    assert all((tmp_path / name).read_bytes() == b"video" for name in NAMES)


def test_plain_names_need_no_extended_header():
    file = io.BytesIO()
    assert add(TarWriter(file), "v.avi", b"video").offset == tarfile.BLOCKSIZE
    assert file.getvalue()[257:262] == b"ustar"


@pytest.mark.parametrize("broken", [b"", b"x" * 20_000, b"x" * 30_001])
def test_a_video_of_the_wrong_length_is_taken_back(broken):
    clean, mended = io.BytesIO(), io.BytesIO()
    for file in (clean, mended):
        tar = TarWriter(file)
        add(tar, "a.avi", b"video")
        if file is mended:
            with pytest.raises(VideoError, match=f"{len(broken)} bytes received instead of 30000"):
                tar.add_video("Größe.avi", 30_000, iter([broken]), source="", label=None)
        tar.close()
    assert mended.getvalue() == clean.getvalue()
