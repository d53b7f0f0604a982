"""Square pixels: DV, DVD and broadcast store pictures whose pixels are wider or narrower than high, and say so."""

from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from attn.video.reading import MOST_PIXELS

SQUARE = Fraction(1)
MOST_ASPECT = 16
"""The ratios in use lie between 1:3 and 3:1; a header may claim any, and frames would be one pixel high."""


class _Mark:
    """Goes with a packet to its frame and tells the ratio that was in force."""

    def __init__(self, aspect: Fraction):
        self.aspect = aspect


class PixelAspect:
    """Width over height of the pixels of each frame of a stream.

    As in FFmpeg, the container's word goes over the codec's. If they agree at the start, the frames have the last word:
    a broadcast changes between 4:3 and 16:9. PyAV tells the codec's ratio of the picture decoded last, which is not
    the one shown next if there are B-frames. Hence a packet that may change it, a key frame, is marked, and each one
    after the first change.

    Args:
        stream: not decoded yet.
    """

    def __init__(self, stream: VideoStream):
        self._context = stream.codec_context
        self._context.copy_opaque = True
        self._first = self._coded()
        self._declared = stream.sample_aspect_ratio or self._first
        self._follows_frames, self._changed = self._declared == self._first, False

    def decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        """As the codec context does."""
        if packet is None or not (self._follows_frames and (self._changed or packet.is_keyframe)):
            return self._context.decode(packet)
        packet.opaque = mark = _Mark(self._first)
        try:
            return self._context.decode(packet)
        finally:
            mark.aspect = self._coded()
            self._changed = self._changed or mark.aspect != self._first

    def shown_width(self, frame: VideoFrame) -> int:
        """Columns of a frame whose pixels are made square; its rows stay. A ratio that makes no sense counts as 1."""
        mark = frame.opaque if self._changed else None
        aspect = mark.aspect if isinstance(mark, _Mark) else self._declared
        if aspect == SQUARE or not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT:
            return frame.width
        width = max(1, round(frame.width * aspect))
        return width if width * frame.height <= MOST_PIXELS else frame.width

    def _coded(self) -> Fraction:
        return self._context.sample_aspect_ratio or SQUARE
