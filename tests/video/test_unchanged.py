"""A header speaks for its member in every dialect, and for no other."""

import io
import tarfile

import pytest

from attn.errors import VideoError
from attn.storage.location import Location
from attn.video.tar_headers import read_members
from attn.video.unchanged import HEADER_BYTES, is_header_of, version_of

NAMES = [
    "v.avi",
    "./v.avi",
    "Class A/v.1.MP4",
    "d/" * 60 + "x" * 90 + ".avi",
    "x" * 96 + ".avi",
    "Größe.avi",
]


def header(info: tarfile.TarInfo, format_: int = tarfile.GNU_FORMAT) -> bytes:
    return info.tobuf(format_)[-HEADER_BYTES:]


def member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", NAMES)
def test_every_dialect(tmp_path, format_, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
        tar.addfile(member(name, 700), io.BytesIO(bytes(700)))
    path = Location.at(str(tmp_path / "a.tar"))
    path.write_atomic(buffer.getvalue())
    (found,) = read_members(path, len(buffer.getvalue()))
    block = buffer.getvalue()[found.offset - HEADER_BYTES : found.offset]
    assert is_header_of(block, found.name, 700)
    assert not is_header_of(block, found.name, 701)
    assert not is_header_of(block, "other.avi", 700)


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_video_of_ten_gigabytes(format_):
    assert is_header_of(header(member("v.avi", 10 << 30), format_), "v.avi", 10 << 30)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.CHRTYPE])
def test_another_kind_of_member(kind):
    info = member("v.avi", 0)
    assert is_header_of(header(info), "v.avi", 0)
    info.type = kind
    assert not is_header_of(header(info), "v.avi", 0)


@pytest.mark.parametrize("block", [b"", bytes(512), b"x" * 512, header(member("v.avi", 5))[:511]])
def test_what_is_no_header(block):
    assert not is_header_of(block, "v.avi", 5)


def test_a_version_is_another_after_any_change(tmp_path, s3):
    for root in (str(tmp_path), s3):
        path = Location.at(root) / "a.avi"
        seen = set()
        for data in (b"1", b"2", b"12"):
            path.write_atomic(data)
            seen.add(version_of(path))
            assert version_of(path).size == len(data)
        assert len(seen) == 3


def test_a_folder_has_none(tmp_path):
    with pytest.raises(VideoError, match="not a regular file"):
        version_of(Location.at(str(tmp_path)))
