"""Files that are not what they are called: those that point at other files, and those that claim gigantic frames."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import pytest

from attn.errors import VideoError
from attn.video.opening import open_video_stream
from attn.video.pyav_decoder import pyav_frames
from attn.video.reading import Reading
from attn.video.sample import Stride

MOST_GROWTH_MB = 64


def decode(path: Path) -> list[object]:
    return list(Reading(pyav_frames(str(path), Stride(1).start())))


@pytest.fixture(scope="module")
def private(write_clip, smooth) -> Path:
    """A clip that the user may read and whose frames another video must not show."""
    return write_clip(smooth(5), ".ts", "libx264", "yuv420p", name="private.ts")


LISTS = {
    "concat.avi": "ffconcat version 1.0\nfile {name}\n",
    "concat.mp4": "ffconcat version 1.0\nfile '{path}'\n",
    "hls.m3u8.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{name}\n#EXT-X-ENDLIST\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{name}\n#EXT-X-ENDLIST\n",
    "subfile.m3u8": "#EXTM3U\n#EXTINF:5,\nsubfile,,start,0,end,0,,:{path}\n#EXT-X-ENDLIST\n",
    "data.m3u8": "#EXTM3U\n#EXTINF:5,\ndata:video/mp2t;base64,R0AREABC8CUAAcEAAP8B/wAB\n#EXT-X-ENDLIST\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>{name}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "session.avi": "v=0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "redirect.wmv": "[Reference]\nRef1=file://{path}\n",
    "subtitle.avi": "1\n00:00:00,000 --> 00:00:09,000\nno video\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_files_are_no_videos(name, private):
    path = private.with_name(name)
    path.write_text(LISTS[name].format(name=private.name, path=private))
    with pytest.raises(VideoError, match="cannot be opened as a video") as error:
        decode(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["img%03d.avi", "img*.mp4", "concat:a|b.avi", "subfile,,start,0,end,0,,:a.avi"])
def test_a_name_is_only_a_name(name, tmp_path, write_clip, smooth, monkeypatch):
    (tmp_path / "img001.avi").write_bytes(write_clip(smooth(5), ".avi").read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="No such file"):
        decode(Path(name))


def reference(target: Path) -> bytes:
    """A `dref` entry of MP4 by which a track lies in another file: an alias with its absolute path."""
    place = os.fsencode(target)
    alias = bytes(150) + struct.pack(">HH", 2, len(place)) + place + bytes(len(place) % 2) + b"\xff\xff\0\0"
    return struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias


def in_another_file(data: bytes, target: Path) -> bytes:
    """MP4 whose track lies in another file, at the places where it lay in its own."""
    own, foreign = struct.pack(">I4sI", 12, b"url ", 1), reference(target)
    start = data.index(own)
    changed = bytearray(data[:start] + foreign + data[start + len(own) :])
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = changed.rindex(box, 0, start) - 4
        size = struct.unpack_from(">I", changed, place)[0] + len(foreign) - len(own)
        struct.pack_into(">I", changed, place, size)
    return bytes(changed)


def test_a_track_in_another_file_is_not_read(write_clip, smooth, tmp_path):
    private = write_clip(smooth(5), ".mp4", "mpeg4", "yuv420p")
    path = tmp_path / "elsewhere.mp4"
    path.write_bytes(in_another_file(private.read_bytes(), private))
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert len(list(container.decode(video=0))) == 5  # so it would be
    with pytest.raises(VideoError, match="no frame can be decoded"):
        decode(path)


def claims_in_avi(data: bytes, side: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<ii", changed, changed.index(b"strf") + 12, side, side)
    struct.pack_into("<II", changed, changed.index(b"avih") + 40, side, side)
    return bytes(changed)


def claims_in_mp4(data: bytes, side: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(">HH", changed, changed.index(b"stsd") + 12 + 32, min(side, 65535), min(side, 65535))
    return bytes(changed)


def claims_in_matroska(data: bytes, side: int) -> bytes:
    two_bytes = struct.pack(">H", min(side, 65000))
    return data.replace(b"\xb0\x82\x01\x40", b"\xb0\x82" + two_bytes).replace(
        b"\xba\x82\x01\x40", b"\xba\x82" + two_bytes
    )


def claims_in_jpeg(data: bytes, side: int) -> bytes:
    changed, start = bytearray(data), 0
    while (start := changed.find(b"\xff\xc0\x00\x11\x08", start)) >= 0:
        struct.pack_into(">HH", changed, start + 5, min(side, 65500), min(side, 65500))
        start += 5
    return bytes(changed)


def claims_in_png(data: bytes, side: int) -> bytes:
    changed, start = bytearray(data), 0
    while (start := changed.find(b"IHDR", start)) >= 0:
        struct.pack_into(">II", changed, start + 4, side, side)
        struct.pack_into(">I", changed, start + 17, zlib.crc32(changed[start : start + 17]))
        start += 4
    return bytes(changed)


BOMBS = [
    (".avi", "rawvideo", "bgr24", claims_in_avi),
    (".avi", "ffv1", "bgr0", claims_in_avi),
    (".avi", "huffyuv", "yuv422p", claims_in_avi),
    (".mov", "rawvideo", "rgb24", claims_in_mp4),
    (".mkv", "ffv1", "bgr0", claims_in_matroska),
    (".mp4", "png", "rgb24", claims_in_png),
    (".mov", "png", "rgb24", claims_in_png),
    (".mkv", "mjpeg", "yuvj420p", claims_in_jpeg),
    (".mp4", "mjpeg", "yuvj420p", claims_in_jpeg),
    (".mjpeg", "mjpeg", "yuvj420p", claims_in_jpeg),
]
MEASURED = """
import resource, sys
from attn.errors import VideoError
from attn.video.pyav_decoder import pyav_frames
from attn.video.sample import Stride
before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
try:
    list(pyav_frames(sys.argv[1], Stride(1).start()))
except VideoError as error:
    print(error)
grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
sys.exit(f"{grown_kib} KiB" if grown_kib > int(sys.argv[2]) << 10 else 0)
"""


@pytest.mark.parametrize("side", [12_000, 100_000])
@pytest.mark.parametrize(("suffix", "codec", "pix_fmt", "claim"), BOMBS)
def test_gigantic_frames_are_refused_before_memory_is_taken(
    suffix, codec, pix_fmt, claim, side, write_clip, smooth, tmp_path
):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(claim(write_clip(smooth(3, 320, 320), suffix, codec, pix_fmt).read_bytes(), side))
    command = [sys.executable, "-c", MEASURED, str(path), str(MOST_GROWTH_MB)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "or its frames have more than 67108864 pixels" in ran.stdout


def test_8k_is_no_bomb(write_clip):
    path = write_clip([np.zeros((4320, 7680, 3), np.uint8)], ".mp4", "mjpeg", "yuvj420p")
    with open_video_stream(str(path)) as (_, stream):
        assert (stream.codec_context.width, stream.codec_context.height) == (7680, 4320)
    assert len(decode(path)) == 1
