"""Square pixels: DV, DVD and broadcast store pictures whose pixels are wider or narrower than high, and say so."""

import dataclasses
from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from attn.video.reading import MOST_PIXELS

SQUARE = Fraction(1)
ROUNDED = 0.01
"""So far containers round: UCF101 has clips of 4096:4083. The ratio in use that is closest to 1 is 16:15."""
MOST_ASPECT = 16
"""The ratios in use lie between 1:3 and 3:1; a header may claim any, and frames would be one pixel high."""


def is_square(aspect: Fraction | None) -> bool:
    """Are pixels of this ratio square, but for rounding? None is no word on it."""
    return aspect is None or abs(aspect - SQUARE) <= ROUNDED


@dataclasses.dataclass
class _Coded:
    """The codec's ratio of one packet's picture; it goes with the packet to its frame, once the ratio has changed."""

    aspect: Fraction
    pts: int | None


class PixelAspect:
    """Width over height of the pixels of each frame of a stream.

    As in FFmpeg, the container's word goes over the codec's. If they agree at the start, the frames have the last word:
    a broadcast changes between 4:3 and 16:9. (Not those of AVI, which says it once, but for DV.) PyAV tells the codec's
    ratio of the picture decoded last, which with B-frames is not the one that comes out next. Hence packets are marked
    from the first change on, which is looked for at key frames alone: small frames would feel more.

    Args:
        stream: not decoded yet.
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
        """As the codec context does."""
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
        """Columns of a frame whose pixels are made square; its rows stay. A ratio that makes no sense counts as 1."""
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
