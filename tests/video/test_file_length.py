"""Whole files whose duration is not that of their pictures, against files that were cut."""

import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from attn.video.decode import read_frames
from attn.video.file_length import is_all_there
from attn.video.sample import Stride

KINDS = {".wmv": ("wmv2", "wmav2"), ".flv": ("flv", "aac"), ".mkv": ("mpeg4", "pcm_s16le")}
NAMES = {".wmv": "asf", ".flv": "flv", ".mkv": "matroska,webm"}
SAMPLES = 16_000

# Times of the pictures and how long the last one is shown, in 1/25 s; seconds of sound.
FILMS = {
    "sound that goes on": (range(50), 1, 4),
    "a late last picture": ([*range(49), 124], 1, 0),
    "a last picture that stays": (range(50), 75, 0),
    "a last picture that stays, with sound": (range(50), 75, 5),
    "a picture a second": (range(0, 125, 25), 25, 0),
    "a picture a second, with sound": (range(0, 125, 25), 25, 6),
}


@pytest.fixture(scope="module", params=[*KINDS])
def suffix(request):
    return request.param


@pytest.fixture(scope="module", params=FILMS.values(), ids=[*FILMS])
def film(request, suffix, numbered, tmp_path_factory):
    """A file of 50 or 5 pictures, and how many there are."""
    times, stays, sound_s = request.param
    path = tmp_path_factory.mktemp("films") / f"film{suffix}"
    container: Any = av.open(str(path), "w")
    with container:
        picture = container.add_stream(KINDS[suffix][0], rate=Fraction(25), options={"g": "1"})
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream(KINDS[suffix][1], rate=SAMPLES, layout="mono") if sound_s else None
        packets = []
        for time, image in zip(times, numbered(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        packets[-1].duration = int(stays / 25 / packets[-1].time_base)
        if sound:
            sound.bit_rate = 32_000
            packets += [*sound.encode(noise(sound_s, sound.format.name)), *sound.encode(None)]
        for packet in packets:
            container.mux(packet)
    return path, len(times)


def noise(seconds, sample_format):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, seconds * SAMPLES)).astype(np.float32)
    values = (samples * 2**15).astype(np.int16) if sample_format == "s16" else samples
    frame = av.AudioFrame.from_ndarray(values, sample_format, "mono")
    frame.rate = SAMPLES
    return frame


def read(path):
    frames = read_frames(str(path), Stride(1))
    return len(list(frames)), frames.end.truncated


def test_whole_files_are_whole_whatever_duration_they_declare(film, suffix):
    path, pictures = film
    assert is_all_there(str(path), NAMES[suffix])
    assert read(path) == (pictures, False)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_cut_files_are_truncated(film, suffix, share, tmp_path):
    path, _ = film
    data = path.read_bytes()
    kept = int(share * len(data))
    short, zeroed = tmp_path / f"short{suffix}", tmp_path / f"zeroed{suffix}"
    short.write_bytes(data[:kept])
    zeroed.write_bytes(data[:kept] + bytes(len(data) - kept))
    assert is_all_there(str(short), NAMES[suffix]) is is_all_there(str(zeroed), NAMES[suffix]) is False
    assert read(short)[1]


def test_a_file_that_cannot_be_read_to_its_end_is_truncated(suffix, write_clip, smooth, tmp_path):
    """However long it is: something in the middle is no more what it was."""
    path = write_clip(smooth(100, 240, 320), suffix, KINDS[suffix][0], "yuv420p", g="12")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : -100] = bytes(len(data) - len(data) // 2 - 100)
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(data)
    assert is_all_there(str(damaged), NAMES[suffix])
    assert len(data) // 1024 > 20
    pictures, truncated = read(damaged)
    assert 0 < pictures < 90
    assert truncated


def matroska(length):
    return bytes.fromhex("1a45dfa3801853 8067") + length


def asf(length, flags):
    return bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + bytes(24) + length + bytes(40) + flags


STATED = {
    "matroska": (NAMES[".mkv"], matroska(bytes([0x80 | 90])), 100),
    "matroska, in 8 bytes": (NAMES[".mkv"], matroska(bytes([1, 0, 0, 0, 0, 0, 0, 83])), 100),
    "flv": ("flv", b"FLV\0\x08filesize\0" + struct.pack(">d", 100), 100),
    "asf": ("asf", asf((100).to_bytes(8, "little"), bytes(4)), 100),
}
UNSTATED = {
    "matroska, live": (NAMES[".mkv"], matroska(b"\xff")),
    "matroska, live, in 8 bytes": (NAMES[".mkv"], matroska(b"\x01" + b"\xff" * 7)),
    "matroska, nonsense": (NAMES[".mkv"], matroska(b"\0" * 9)),
    "matroska, no length": (NAMES[".mkv"], matroska(b"")),
    "matroska, no segment": (NAMES[".mkv"], b"\x80" * 50),
    "flv, no number": ("flv", b"FLV\0\x08filesize\0\0"),
    "flv, infinite": ("flv", b"FLV\0\x08filesize\0" + struct.pack(">d", float("inf"))),
    "flv, none": ("flv", b"FLV"),
    "asf, broadcast": ("asf", asf((100).to_bytes(8, "little"), b"\1\0\0\0")),
    "asf, short": ("asf", asf((100).to_bytes(8, "little"), b"")),
    "another": ("avi", b"RIFF"),
}


@pytest.mark.parametrize(("container", "head", "length"), STATED.values(), ids=STATED.keys())
def test_stated_lengths(container, head, length, tmp_path):
    for missing in (-1, 0, 1):
        path = tmp_path / "file"
        path.write_bytes(head.ljust(length - missing, b"\1"))
        assert is_all_there(str(path), container) == (missing <= 0)


@pytest.mark.parametrize(("container", "head"), UNSTATED.values(), ids=UNSTATED.keys())
def test_unstated_lengths(container, head, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(head)
    assert is_all_there(str(path), container) is None


def test_a_last_packet_without_a_duration_lasts_as_long_as_those_before_it(numbered, write_clip, tmp_path):
    """FLV, whose packets have none; this one does not say how long it is."""
    path = write_clip(numbered(5), ".flv", "flv", "yuv420p", pts=range(0, 125, 25))
    unstated = tmp_path / "unstated.flv"
    unstated.write_bytes(path.read_bytes().replace(b"filesize", b"fileside"))
    assert read(unstated) == (5, False)
