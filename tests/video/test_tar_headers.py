"""Tars of any origin, without reading their payloads, and without trusting them."""

import functools
import io
import os
import random
import struct
import tarfile
from pathlib import Path

import pytest

from attn.errors import UsageError
from attn.storage.location import Location
from attn.video import tar_headers
from attn.video.tar_headers import Member, WindowReader, read_members


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def members_of(path: Path) -> list[Member]:
    return read_members(Location.at(str(path)), path.stat().st_size)


def payload(path: Path, member: Member) -> bytes:
    return path.read_bytes()[member.offset : member.offset + member.size]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["v.avi", "./v.avi", "Class A/v.1.MP4", "d/" * 60 + "x" * 90 + ".avi"])
def test_every_dialect(tmp_path, format_, name):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=format_) as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        add(tar, name, b"video" * 300)
        add(tar, "readme.txt", b"text")
        add(tar, "._v.avi", b"resource fork")
    (member,) = members_of(path)
    assert member.name == name
    assert member.label is None
    assert payload(path, member) == b"video" * 300


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_are_not_ascii(tmp_path, format_):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=format_) as tar:
        add(tar, "Größe 操作.avi", b"1")
    assert [member.name for member in members_of(path)] == ["Größe 操作.avi"]


REFUSED = {
    "absolute": ("/etc/absolute.avi", {}, "its path leaves the archive"),
    "up": ("../up.avi", {}, "its path leaves the archive"),
    "up in the middle": ("a/../../up.avi", {}, "its path leaves the archive"),
    "symbolic link": ("v.avi", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a link"),
    "hard link": ("v.avi", {"type": tarfile.LNKTYPE, "linkname": "good.avi"}, "a link"),
    "character device": ("v.avi", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}, "not a regular file"),
    "block device": ("v.avi", {"type": tarfile.BLKTYPE, "devmajor": 8}, "not a regular file"),
    "pipe": ("v.avi", {"type": tarfile.FIFOTYPE}, "not a regular file"),
    "folder": ("v.avi", {"type": tarfile.DIRTYPE}, None),
    "unknown": ("v.avi", {"type": b"Z"}, "not a regular file"),
}


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(("name", "fields", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_plain_member_is_left_out_and_named(tmp_path, caplog, name, fields, why, format_):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=format_) as tar:
        add(tar, "good.avi", b"video")
        add(tar, name, **fields)
        add(tar, "too.avi", b"video")
    assert [member.name for member in members_of(path)] == ["good.avi", "too.avi"]
    assert caplog.messages == ([f"{path}: members left out: {name} ({why})"] if why else [])


def test_of_many_that_are_left_out_some_are_named(tmp_path, caplog):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(7):
            add(tar, f"{number}.avi", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    assert members_of(path) == []
    assert "4.avi (a link) and 2 more" in caplog.text


SPARSE = {
    "0.0": {"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1", "GNU.sparse.offset": "0", "GNU.sparse.numbytes": "5"},
    "0.1": {"GNU.sparse.map": "0,5", "GNU.sparse.size": "9", "GNU.sparse.name": "sparse.avi"},
    "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
}


@pytest.mark.parametrize("headers", SPARSE.values(), ids=SPARSE.keys())
def test_a_sparse_member_is_left_out(tmp_path, caplog, headers):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "sparse.avi", b"1\n0\n5\nvideo", pax_headers=headers)
        add(tar, "good.avi", b"video")
    assert [member.name for member in members_of(path)] == ["good.avi"]
    assert "sparse.avi (a sparse file)" in caplog.text


def test_an_old_sparse_member_is_left_out(tmp_path, caplog):
    """GNU's own kind: the map stands in the header."""
    header = bytearray(forged("sparse.avi", b"%011o\0" % 512, tarfile.GNUTYPE_SPARSE))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (1 << 20)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(512) + bytes(10240))
    assert members_of(path) == []
    assert "sparse.avi (a sparse file)" in caplog.text


def write_tar(path: Path, num_videos: int = 3, video_bytes: int = 1000) -> bytes:
    with tarfile.open(path, "w") as tar:
        for number in range(num_videos):
            add(tar, f"v{number}.avi", os.urandom(video_bytes))
            add(tar, f"v{number}.json", b'{"label": "wave"}')
    return path.read_bytes()


# 3 × (header, 1000 → 1024 bytes, header, 17 → 512 bytes) = 3 × 2560 bytes, then the end.
@pytest.mark.parametrize("length", [0, 100, 512, 700, 1536, 2000, 2560, 5000, 7680])
def test_a_tar_that_was_cut_off(tmp_path, length):
    path = tmp_path / "a.tar"
    content = write_tar(path)
    path.write_bytes(content[:length])
    with pytest.raises(UsageError, match=r"a\.tar: damaged or not a tar"):
        members_of(path)


@pytest.mark.parametrize("position", [0, 1536, 2560, 5120 + 148])
def test_a_damaged_header(tmp_path, position):
    path = tmp_path / "a.tar"
    content = bytearray(write_tar(path))
    content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.tar: damaged or not a tar"):
        members_of(path)


def test_what_is_no_tar_at_all(tmp_path):
    path = tmp_path / "a.tar"
    for content in (b"x" * 5000, b"\x1f\x8b" + os.urandom(5000), b"<html>" * 2000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"a\.tar: damaged or not a tar"):
            members_of(path)


def forged(name: str, size: bytes, type_: bytes = tarfile.REGTYPE) -> bytes:
    """A header with a valid checksum and a size field of our choice."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size
    header[156:157] = type_
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize("type_", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_forged_sizes(tmp_path, type_):
    path = tmp_path / "a.tar"
    negative = b"\xff" * 8 + struct.pack(">i", -1536)
    huge = b"\x80" + b"\0" * 3 + struct.pack(">q", 1 << 50)
    for size in (negative, huge, b"77777777777\0"):
        path.write_bytes(forged("v.avi", size, type_) + tarfile.NUL * 10240)
        with pytest.raises(UsageError, match=r"a\.tar: damaged or not a tar"):
            members_of(path)


@pytest.mark.timeout(20)
def test_a_size_that_leads_back_ends(tmp_path):
    path = tmp_path / "a.tar"
    back = b"\xff" * 8 + struct.pack(">i", -512)
    path.write_bytes(forged("a.avi", b"0" * 11 + b"\0") + forged("b.avi", back) + tarfile.NUL * 10240)
    with pytest.raises(UsageError, match=r"the size of b\.avi is impossible"):
        members_of(path)


def test_a_name_of_megabytes_is_not_read(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(forged("long", b"%011o\0" % (2 << 20), tarfile.GNUTYPE_LONGNAME) + bytes(3 << 20))
    with pytest.raises(UsageError, match="absurd number of bytes"):
        members_of(path)


def test_random_damage_never_does_worse_than_a_clear_error(tmp_path):
    path = tmp_path / "a.tar"
    content = write_tar(path)
    dice = random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(7680)] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            found = members_of(path)
        except UsageError:
            continue
        assert all(0 <= member.offset <= member.offset + member.size <= len(content) for member in found)


def test_payloads_are_not_read(monkeypatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(5):
            add(tar, f"v{number}.avi", bytes(300_000))
            add(tar, f"v{number}.json", b'{"label": "wave"}')
    tar_file = Location.at("memory://headers/a.tar")
    tar_file.write_atomic(buffer.getvalue())
    reads, whole = [], Location.read_bytes
    monkeypatch.setattr(
        Location, "read_bytes", lambda file, start, stop: reads.append(stop - start) or whole(file, start, stop)
    )
    assert len(read_members(tar_file, len(buffer.getvalue()))) == 5
    assert len(reads) <= 6
    assert max(reads) <= tar_headers.REMOTE_WINDOW_BYTES


def test_window_reader_is_a_file():
    content = random.Random(0).randbytes(5000)
    oracle = io.BytesIO(content)
    reader = WindowReader(functools.partial(lambda data, start, stop: data[start:stop], content), len(content), 100)
    dice = random.Random(1)
    for _ in range(500):
        offset, size = dice.randrange(5200), dice.choice([0, 1, 99, 100, 101, 700])
        whence = dice.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
        if whence == os.SEEK_END:
            offset = -dice.randrange(5000)
        assert reader.seek(offset, whence) == oracle.seek(offset, whence)
        assert reader.read(size) == oracle.read(size)
        assert reader.tell() == oracle.tell()
