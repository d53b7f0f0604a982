"""Pixel aspect ratio of frames: DV, DVD and broadcast video declare pixels that are not square."""

import dataclasses
from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from attn.video.reading import MOST_PIXELS

SQUARE = Fraction(1)
ROUNDED = 0.01
"""Tolerance for rounding in containers: UCF101 has clips of 4096:4083. The ratio in use closest to 1 is 16:15."""
MOST_ASPECT = 16
"""Largest ratio that is applied. Ratios in use are between 1:3 and 3:1, but a header may declare any other."""


def is_square(aspect: Fraction | None) -> bool:
    """Return whether pixels of this ratio are square up to rounding; None means that no ratio is declared."""
    return aspect is None or abs(aspect - SQUARE) <= ROUNDED


@dataclasses.dataclass
class _Coded:
    """Codec's ratio for the picture in one packet. Once the ratio has changed, FFmpeg passes it on to the frame."""

    aspect: Fraction
    pts: int | None


class PixelAspect:
    """Width over height of the pixels of each frame of a stream.

    As in FFmpeg, the container's ratio overrides the codec's. If both agree at the start, the ratio may change from
    frame to frame: a broadcast switches between 4:3 and 16:9. (AVI declares one ratio for the whole file, except for
    DV.) PyAV reports the codec's ratio for the picture decoded last, which with B-frames is not the next one shown.
    Packets are therefore marked with their ratio from the first change on. Only key frames are checked for a change,
    because more checks would slow down small frames noticeably.

    Args:
        stream: stream of which no packet has been decoded.
    """

    def __init__(self, stream: VideoStream):
        self._context = stream.codec_context
        self._context.copy_opaque = True
        self._first = self._coded()
        self._declared = stream.sample_aspect_ratio or self._first
        self._square = is_square(self._declared)
        once = stream.container.format.name == "avi" and self._context.name != "dvvideo"
        self._follows_frames = self._declared == self._first and not once
        self._change: _Coded | None = None

    def decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        """Decode a packet as the codec context does."""
        if packet is None or not (self._follows_frames and (packet.is_keyframe or self._change)):
            return self._context.decode(packet)
        here = _Coded(self._first, packet.pts)
        if self._change:
            packet.opaque = here
        try:
            return self._context.decode(packet)
        finally:
            here.aspect = self._coded()
            if not self._change and here.aspect != self._first:
                self._change = here

    def shown_width(self, frame: VideoFrame) -> int:
        """Return the width of a frame scaled to square pixels; its height stays. An implausible ratio counts as 1."""
        if self._square and not self._change:
            return frame.width
        aspect = self._aspect_of(frame)
        if is_square(aspect) or not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT:
            return frame.width
        width = max(1, round(frame.width * aspect))
        return width if width * frame.height <= MOST_PIXELS else frame.width

    def _aspect_of(self, frame: VideoFrame) -> Fraction:
        if not self._change:
            return self._declared
        if isinstance(frame.opaque, _Coded):
            return frame.opaque.aspect
        changes = frame.key_frame and frame.pts == self._change.pts
        return self._change.aspect if changes else self._first

    def _coded(self) -> Fraction:
        return self._context.sample_aspect_ratio or SQUARE
