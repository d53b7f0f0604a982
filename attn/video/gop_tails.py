"""Skipping of frames that need no decoding: those between the last sampled frame and the next key frame.

UCF101's clips have a key frame every 12 frames. At stride 5, one frame in six follows the last sampled frame of its
group of pictures, and neither a sampled frame nor a later group refers to it. This saves 3 to 4 % of the decoding time
of 185 clips of UCF101 at stride 5, and 26 % at stride 25. To skip such frames without losing count, it must be certain
before decoding that a packet yields exactly one frame, its own. In MPEG-4 part 2 without B-frames, this is certain for
every coded I- or P-picture that no edit list hides. Skipping ends at the first other packet.
"""

from collections.abc import Callable, Generator, Iterator

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

VOP_START = b"\x00\x00\x01\xb6"
INTRA, PREDICTED, BIDIRECTIONAL = 0, 1, 2
# A picture that only repeats the one before yields no frame and is shorter than this after its start code.
LEAST_CODED_BYTES = 16
MOST_HEADER_BYTES = 1024
MOST_HELD = 512


def needed_frames(
    packets: "Iterator[Packet[VideoStream]]",
    decode: "Callable[[Packet[VideoStream]], VideoFrame | None]",
    keep_next: Callable[[int | None], bool],
) -> "Generator[VideoFrame, None, Packet[VideoStream] | None]":
    """Yield sampled frames while every packet is certain to yield one frame; return the first packet that is not.

    Args:
        packets: packets of MPEG-4 part 2 without B-frames.
        decode: returns the frame of a packet; None ends decoding.
        keep_next: returns whether the next frame is sampled; called once per frame, with its time stamp.
    """
    tail: list[Packet[VideoStream]] = []
    for packet in packets:
        kind = picture_type(packet)
        if kind not in (INTRA, PREDICTED) or packet.is_discard:
            return packet if not tail or _decode_all(tail, decode) else None
        if kind == INTRA:
            tail.clear()
        tail.append(packet)
        kept = keep_next(packet.pts)
        if kept or len(tail) == MOST_HELD:
            frame = _decode_all(tail, decode)
            if frame is None:
                return None
            tail.clear()
            if kept:
                yield frame
    return None


def _decode_all(
    tail: "list[Packet[VideoStream]]", decode: "Callable[[Packet[VideoStream]], VideoFrame | None]"
) -> VideoFrame | None:
    """Decode the packets and return the last frame; None if a packet yields no frame."""
    frame = None
    for packet in tail:
        frame = decode(packet)
        if frame is None:
            return None
    return frame


def picture_type(packet: "Packet[VideoStream]") -> int | None:
    """Return the type of the first MPEG-4 picture in a packet, None if no coded picture is found.

    The types are 0 I, 1 P, 2 B and 3 S. A second picture in the packet (packed B-frames) is recognised later, because
    the next packet is a placeholder.
    """
    header = bytes(memoryview(packet)[: MOST_HEADER_BYTES + 1])
    start = header.find(VOP_START, 0, MOST_HEADER_BYTES)
    after = start + len(VOP_START)
    return None if start < 0 or packet.size - after < LEAST_CODED_BYTES else header[after] >> 6
