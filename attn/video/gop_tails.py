"""Not decoding what no one needs: the frames between the last kept one and the next frame that stands alone.

UCF101's clips hold a key frame every 12 frames. At stride 5 one frame in six lies behind the last kept one of its
group of pictures, and neither a kept frame nor a later group refers to it. To leave such frames out without losing
count, it must be certain before decoding that a packet gives one frame, its own. In MPEG-4 part 2 without B-frames
that is certain of every coded I- or P-picture that no edit list hides; at the first packet that is anything else we
stop leaving out.
"""

from collections.abc import Callable, Generator, Iterator

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

VOP_START = b"\x00\x00\x01\xb6"
INTRA, PREDICTED, BIDIRECTIONAL = 0, 1, 2
# A picture that says only "as before" gives no frame and is shorter than this after its start code.
LEAST_CODED_BYTES = 16
MOST_HEADER_BYTES = 1024
MOST_HELD = 512


def needed_frames(
    packets: "Iterator[Packet[VideoStream]]",
    decode: "Callable[[Packet[VideoStream]], VideoFrame | None]",
    keep_next: Callable[[int | None], bool],
) -> "Generator[VideoFrame, None, Packet[VideoStream] | None]":
    """Kept frames, as long as every packet is certain to give one; returns the first that is not.

    Args:
        packets: MPEG-4 part 2 without B-frames.
        decode: the frame of a packet; None is the end of everything.
        keep_next: is the next frame kept? Asked once for each, with its time stamp.
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
    """The last frame."""
    frame = None
    for packet in tail:
        frame = decode(packet)
        if frame is None:
            return None
    return frame


def picture_type(packet: "Packet[VideoStream]") -> int | None:
    """Type of the first MPEG-4 picture in a packet: 0 I, 1 P, 2 B, 3 S; None where no coded one is found.

    A second picture in the packet (packed B-frames) is betrayed by the placeholder that is the next packet.
    """
    header = bytes(memoryview(packet)[: MOST_HEADER_BYTES + 1])
    start = header.find(VOP_START, 0, MOST_HEADER_BYTES)
    after = start + len(VOP_START)
    return None if start < 0 or packet.size - after < LEAST_CODED_BYTES else header[after] >> 6
