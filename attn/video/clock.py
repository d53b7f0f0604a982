"""When a frame is shown: its time stamp where that can be believed."""

from av.container import InputContainer
from av.video.stream import VideoStream

DEFAULT_RATE = 25.0  # what FFmpeg assumes of streams that say nothing


class FrameClock:
    """Seconds of successive frames, strictly increasing.

    AVI has no presentation times: with B-frames FFmpeg guesses them, and guesses wrongly when they are packed (times
    go back and forth in UCF101, HMDB51 and UT-Interaction). There, and where stamps are missing, the frame of index i
    is shown at i / frame rate. A stamp that is not later than the one before is replaced by that one plus 1 / rate.
    """

    def __init__(self, container: InputContainer, stream: VideoStream):
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        self._period_s = 1 / float(rate)
        self._tick_s = float(stream.time_base or 0)
        self._believed = not (container.format.name == "avi" and stream.codec_context.has_b_frames)
        self._last_s: float | None = None

    def time_s(self, index: int, pts: int | None) -> float:
        """Time of the next frame.

        Args:
            index: its ordinal; every frame must be asked for.
            pts: its presentation time stamp, in ticks of the stream.
        """
        stamp = pts * self._tick_s if pts is not None and self._believed else None
        self._last_s = self._after_last(index) if stamp is None or self._is_late(stamp) else stamp
        return self._last_s

    def _is_late(self, stamp: float) -> bool:
        return self._last_s is not None and stamp <= self._last_s

    def _after_last(self, index: int) -> float:
        evenly = index * self._period_s
        return evenly if self._last_s is None or evenly > self._last_s else self._last_s + self._period_s
