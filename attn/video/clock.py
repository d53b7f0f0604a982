"""Presentation times of frames, from their time stamps if these are reliable."""

from av.container import InputContainer
from av.video.stream import VideoStream

DEFAULT_RATE = 25.0  # FFmpeg's default for streams that declare no rate


class FrameClock:
    """Presentation times of successive frames in seconds, strictly increasing.

    AVI has no presentation times. With B-frames, FFmpeg guesses them, incorrectly if the B-frames are packed (times go
    back and forth in UCF101, HMDB51 and UT-Interaction). In such streams, and for frames without a stamp, the time of
    frame i is i / frame rate. This also replaces a stamp that is not later than the previous time; if it is not later
    either, the time is the previous time plus 1 / frame rate.
    """

    def __init__(self, container: InputContainer, stream: VideoStream):
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        self._period_s = 1 / float(rate)
        self._tick_s = float(stream.time_base or 0)
        self._believed = not (container.format.name == "avi" and stream.codec_context.has_b_frames)
        self._last_s: float | None = None

    def time_s(self, index: int, pts: int | None) -> float:
        """Return the time of the next frame.

        Args:
            index: ordinal of the frame; every frame must be passed, in order.
            pts: presentation time stamp of the frame, in ticks of the stream.
        """
        stamp = pts * self._tick_s if pts is not None and self._believed else None
        self._last_s = self._after_last(index) if stamp is None or self._is_late(stamp) else stamp
        return self._last_s

    def _is_late(self, stamp: float) -> bool:
        return self._last_s is not None and stamp <= self._last_s

    def _after_last(self, index: int) -> float:
        evenly = index * self._period_s
        return evenly if self._last_s is None or evenly > self._last_s else self._last_s + self._period_s
