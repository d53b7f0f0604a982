"""Ways to damage the bytes of a file: one small function per kind, a table of them at the end."""

from collections.abc import Callable, Sequence
from random import Random

from clips import Clip
from headers import absurd_header

HEADER_BYTES = 4096
EXTREMES = (0, 1, -1, 2, 255, 32767, -32768, 65535, 100_000, 10**9, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))

Mutation = Callable[[Random, Clip, Sequence[Clip]], bytes]
"""(random, clip, clips to take parts of) → the bytes of a damaged file."""


def cut_off(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """At any length, often near one of the ends."""
    size = len(clip.data)
    small = min(size, HEADER_BYTES)
    return clip.data[: random.choice((0, 1, random.randrange(small), random.randrange(size), size - 1))]


def bits_in_header(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    return _flipped(random, clip.data, min(HEADER_BYTES, len(clip.data)), most=16)


def bits_anywhere(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    return _flipped(random, clip.data, len(clip.data), most=random.choice((1, 10, 1000)))


def bytes_replaced(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    return _replaced(clip.data, random, random.randbytes)


def bytes_zeroed(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    return _replaced(clip.data, random, bytes)


def bytes_set(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    return _replaced(clip.data, random, lambda size: b"\xff" * size)


def range_removed(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    start, stop = _range(random, clip.data)
    return clip.data[:start] + clip.data[stop:]


def range_repeated(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    start, stop = _range(random, clip.data)
    return clip.data[:stop] + clip.data[start:stop] * random.choice((1, 2, 50)) + clip.data[stop:]


def ranges_exchanged(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    a, b, c, d = sorted(random.randrange(len(clip.data) + 1) for _ in range(4))
    data = clip.data
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def something_inserted(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """Noise before, within or behind, or another whole file."""
    place = random.choice((0, random.randrange(len(clip.data)), len(clip.data)))
    foreign = random.choice((random.randbytes(random.randrange(1, 5000)), random.choice(others).data))
    return clip.data[:place] + foreign + clip.data[place:]


def extreme_numbers(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """Numbers at the edges of what their bytes can say, in the header or anywhere."""
    data = bytearray(clip.data)
    for _ in range(random.choice((1, 3, 20))):
        width, order = random.choice((1, 2, 4, 8)), random.choice(("big", "little"))
        start = random.randrange(min(len(data), random.choice((HEADER_BYTES, len(data)))))
        number = random.choice(EXTREMES) % 2 ** (8 * width)
        data[start : start + width] = number.to_bytes(width, order)[: len(data) - start]
    return bytes(data)


def spliced(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """The head of one file and the tail of another."""
    other = random.choice(others).data
    return clip.data[: random.randrange(1, len(clip.data))] + other[random.randrange(len(other)) :]


def header_of_another(random: Random, clip: Clip, others: Sequence[Clip]) -> bytes:
    """What describes the streams comes from one file, the streams from another, more often than not of its kind."""
    alike = [other for other in others if other.suffix == clip.suffix and other.data != clip.data]
    body = _body(random.choice(alike if alike and random.random() < 0.7 else others).data)
    head = clip.data.replace(_body(clip.data), b"")
    return body + head if random.random() < 0.5 and b"moov" in head else head + body


def _body(data: bytes) -> bytes:
    """From the first of the streams' bytes on; of MP4 only the box that holds them."""
    if (box := data.find(b"mdat") - 4) >= 0:
        return data[box : box + max(8, int.from_bytes(data[box : box + 4], "big"))]
    starts = [place for mark in (b"movi", b"\x1f\x43\xb6\x75") if (place := data.find(mark)) > 0]
    return data[min(starts, default=len(data) // 2) :]


def _flipped(random: Random, data: bytes, within: int, most: int) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        changed[random.randrange(within)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _replaced(data: bytes, random: Random, other: Callable[[int], bytes]) -> bytes:
    start, stop = _range(random, data)
    return data[:start] + other(stop - start) + data[stop:]


def _range(random: Random, data: bytes) -> tuple[int, int]:
    """Some bytes, or many."""
    start = random.randrange(len(data))
    return start, min(len(data), start + random.randint(1, random.choice((8, 500, len(data)))))


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        cut_off,
        bits_in_header,
        bits_anywhere,
        bytes_replaced,
        bytes_zeroed,
        bytes_set,
        range_removed,
        range_repeated,
        ranges_exchanged,
        something_inserted,
        extreme_numbers,
        absurd_header,
        spliced,
        header_of_another,
    )
}
