"""Encoding of drawn frames to an MP4 file that browsers play: H.264, yuv420p, its index at the front.

This module only writes. FFmpeg's demuxers and decoders, which read files from strangers, run in the decoder process
(`attn.video.sandbox`) and nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

TICKS_PER_S = 90_000
LONE_FRAME_S = 0.04
"""Duration of the only frame of a video."""
LONGEST_STEP_S = 3600.0
"""Longest time between two frames. Damaged time stamps jump by years, which MP4 cannot hold."""
BT709 = 1
"""ITU-R BT.709, among the numbers for primaries and transfer characteristics."""

# No B-frames and no look-ahead, which hold frames in memory: every frame leaves the encoder at once.
OPTIONS = {
    "preset": "veryfast",
    "crf": "20",
    "g": "50",  # key frames two seconds apart at 25 frames per second, so that players can jump
    "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0",
}
MOST_THREADS = 4  # each holds a frame


class Mp4Writer:
    """Writer of the frames of one video, each with its own time: the frame rate may vary.

    A frame lasts until the next one; the last frame lasts as long as the one before it.

    Args:
        container: open file.
        stream: its only stream.
    """

    def __init__(self, container: OutputContainer, stream: VideoStream):
        self._container, self._stream = container, stream
        self._to_yuv = VideoReformatter()
        self._held: Packet[VideoStream] | None = None
        self._last_s: float | None = None  # time of the latest frame in the source
        self._shown_s = 0.0  # and in the new file
        self._ticks, self._step = 0, round(LONE_FRAME_S * TICKS_PER_S)

    def add(self, rgb: UInt8[np.ndarray, "row col 3"], time_s: float) -> None:
        """Encode the next frame. The first one is shown at 0 s, whatever its time.

        Args:
            rgb: picture, of even width and height.
            time_s: time in the source, in seconds, not before that of the previous frame.
        """
        if self._last_s is not None:
            self._shown_s += min(time_s - self._last_s, LONGEST_STEP_S)
            self._step = max(1, round(self._shown_s * TICKS_PER_S) - self._ticks)
            self._ticks += self._step
        self._last_s = time_s
        frame = self._to_yuv.reformat(
            av.VideoFrame.from_ndarray(rgb, "rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts, frame.time_base = self._ticks, Fraction(1, TICKS_PER_S)
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the frames that the encoder still holds, and the duration of the last one."""
        self._mux(self._stream.encode(None))
        if self._held is not None:
            self._held.duration = self._step
            self._container.mux(self._held)

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Write packets, but hold the latest back until it is known whether it is the last."""
        for packet in packets:
            if self._held is not None:
                self._container.mux(self._held)
            self._held = packet


@contextmanager
def mp4_writer(path: Path, width: int, height: int) -> Iterator[Mp4Writer]:
    """Open a new file and finish it if the block succeeds.

    Args:
        path: path of the file, with any suffix.
        width: width of the frames in pixels, even.
        height: height of the frames in pixels, even.

    Raises:
        OSError: the file cannot be written.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options=OPTIONS)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = context.time_base = Fraction(1, TICKS_PER_S)
        context.thread_count = MOST_THREADS
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries = context.color_trc = BT709
        writer = Mp4Writer(container, stream)
        yield writer
        writer.finish()
