"""Absurd values in the fields of headers, found by the marks that stand before them."""

import struct
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from clips import Clip

ABSURD = (0, 1, 2, 100_000, 10**9, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)


class Field(NamedTuple):
    """A number so many bytes behind the beginning of a mark."""

    mark: bytes
    offset: int
    width: int
    order: str


def _fields(order: str, **offsets: tuple[int, ...]) -> list[Field]:
    return [Field(mark.encode(), offset, 4, order) for mark, places in offsets.items() for offset in places]


AVI = [
    # micros a frame, frames, streams, width, height; scale, rate, start, length, size of a sample; the picture's header
    *_fields("little", avih=(4, 8, 24, 32, 40, 44), strh=(4, 28, 32, 36, 40, 44, 52), strf=(4, 8, 12, 16, 20, 24, 40)),
    *_fields("little", RIFF=(4,), LIST=(4,), idx1=(4, 8, 16, 20), JUNK=(4,)),
]
MP4 = [
    # sizes of boxes; ticks a second and durations; width and height; counts and entries of the tables of samples
    *(Field(mark, -4, 4, "big") for mark in (b"ftyp", b"moov", b"mdat", b"trak", b"stbl", b"moof", b"stsd")),
    *_fields("big", mvhd=(4, 16, 20), mdhd=(4, 16, 20), tkhd=(4, 16, 24, 44, 48, 80, 84), elst=(8, 12, 16, 20)),
    *_fields("big", stsd=(8, 12), stts=(8, 12, 16), ctts=(8, 12, 16), stsc=(8, 12, 16, 20), stsz=(8, 12, 16, 20)),
    *_fields("big", stco=(8, 12), stss=(8, 12), tfhd=(8, 12), tfdt=(8,), trun=(8, 12, 16), trex=(8, 16)),
    *(Field(mark, place, 2, "big") for mark in (b"avc1", b"mp4v", b"hev1", b"apch") for place in (28, 30, 44, 78)),
]
MATROSKA = [
    # ticks, duration, duration of a frame, width and height, a cluster's time, sizes of elements
    *(Field(b"\x2a\xd7\xb1", 3, width, "big") for width in (1, 4, 8)),
    *(Field(b"\x44\x89", 3, 8, "big") for _ in range(2)),
    Field(b"\x23\xe3\x83", 4, 4, "big"),
    *(Field(mark, 2, width, "big") for mark in (b"\xb0\x81", b"\xba\x81") for width in (1, 2, 8)),
    *(Field(b"\xe7\x81", place, width, "big") for place, width in ((1, 1), (2, 1), (1, 8))),
    *(Field(mark, 4, 8, "big") for mark in (b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\x18\x53\x80\x67")),
]
STREAMS = [
    # Ogg's time; FLV's duration, width and rate; times in program and transport streams; of Windows: anything
    Field(b"OggS", 6, 8, "little"),
    *(Field(mark, len(mark) + 1, 8, "big") for mark in (b"duration", b"width", b"height", b"framerate", b"filesize")),
    *(Field(b"\x00\x00\x01\xe0", place, width, "big") for place, width in ((4, 2), (9, 4), (10, 4), (14, 4))),
    Field(b"\x00\x00\x01\xba", 4, 8, "big"),
    *(Field(b"\xa1\xdc\xab\x8c", place, 8, "little") for place in (16, 40, 56, 64, 72, 80)),
    *(Field(b"\xc0\xef\x19\xbc", place, 4, "little") for place in (16, 54, 58, 69, 73)),
]
FIELDS = [*AVI, *MP4, *MATROSKA, *STREAMS]


def absurd_header(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """A few fields say something absurd: no frames or a thousand million, 100000 pixels, a duration of ages."""
    data = bytearray(clip.data)
    there = [field for field in FIELDS if field.mark in clip.data]
    for field in random.choices(there, k=random.choice((1, 2, 5))) if there else ():
        start = _place(random, clip.data, field.mark) + field.offset
        value = absurd(random, field.width, field.order)
        data[start : start + field.width] = value[: max(0, len(data) - start)]
    return bytes(data)


def absurd(random: Random, width: int, order: str) -> bytes:
    """A number that no header should hold; eight bytes may also be a fraction."""
    if width == 8 and random.random() < 0.3:
        return struct.pack(">d", random.choice((float("nan"), float("inf"), -1.0, 1e300, 5e-324)))
    number = random.choice((*ABSURD, random.getrandbits(8 * width))) % 2 ** (8 * width)
    return number.to_bytes(width, "big" if order == "big" else "little")


def _place(random: Random, data: bytes, mark: bytes) -> int:
    """Of the first mark, or of one of the next."""
    place = data.index(mark)
    for _ in range(random.choice((0, 0, 1, 3))):
        later = data.find(mark, place + 1)
        place = later if later > 0 else place
    return place
