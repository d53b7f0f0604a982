"""Files put together by hand: from packets, or with a number in a header replaced."""

import functools
import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
from av.video.stream import VideoStream
from clips import EXACT, HEIGHT, WIDTH


def packets_of(data: bytes) -> list[bytes]:
    """Of the pictures."""
    with av.open(io.BytesIO(data), "r") as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def muxed(
    container: str,
    codec: str,
    pix_fmt: str,
    packets: Sequence[bytes],
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
) -> bytes:
    """A file of ready-made packets, each a key frame; its header says 64 x 48 pixels, whatever is in them."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as out:
        stream = cast("VideoStream", out.add_stream(codec, rate=25, options=EXACT))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pix_fmt
        out.start_encoding()
        for i, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, True
            packet.pts = packet.dts = pts[i] if pts else i
            out.mux(packet)
    return file.getvalue()


def with_number(data: bytes, mark: bytes, offset: int, number: int, order: str) -> bytes:
    """Four bytes so far behind the beginning of the first such mark say this number."""
    start = data.index(mark) + offset
    return data[:start] + (number % 2**32).to_bytes(4, "big" if order == "big" else "little") + data[start + 4 :]


@functools.cache
def black_png(height: int, width: int, kind: int) -> bytes:
    """Colour type `kind` (0 gray, 2 colours, 4 gray and transparent), eight bits each."""
    row = bytes(1 + width * {0: 1, 2: 3, 4: 2}[kind])
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row * min(100, height - i)) for i in range(0, height, 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
