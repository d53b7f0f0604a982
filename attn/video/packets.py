"""Packets of a video stream, with a check for missing ones."""

import math
from collections.abc import Iterator
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from attn.video.file_length import is_all_there
from attn.video.sandbox.confinement import pass_on_shortage

# Tolerance for a duration without a frame count; recorders round it or let the audio continue.
DURATION_TOLERANCE_S = 0.5

# Containers whose header declares the duration. For others, FFmpeg estimates it from the content, which proves nothing.
TELL_DURATION = frozenset({"matroska,webm", "flv", "asf"})


# Limits for the data after the last packet: an index, tags, padding.
MOST_BEHIND_BYTES, MOST_BEHIND_SHARE = 1 << 13, 0.05

# Containers made for lossy transmission. A packet that they mark as corrupt may be intact: two concatenated files leave
# a mark at the joint. The decoder decides.
GO_ON = frozenset({"mpegts"})


class IntactPackets:
    """Packets up to the end of the stream or the first incomplete packet.

    After the last packet, `truncated` is whether something is missing. This is the case if

    * a packet was cut off;
    * there are fewer packets than the header declares, and they do not span the declared duration either (frames that
      an encoder dropped or an edit list removes are declared but not missing);
    * without a declared count: bytes of the file are missing, and the packets end before the declared duration;
    * without a declared count, if the file declares no length or could not be read to its end: the packets end more
      than 0.5 s before the declared duration.

    Packets are compared, not frames: the placeholders of packed B-frames are declared and present, but yield no frame.

    Attributes:
        go_on: whether the stream, and thus the packets, continue after a loss, as in a transport stream.
        truncated: whether something is missing; known after the last packet.
    """

    def __init__(self, container: InputContainer, stream: VideoStream):
        self._container, self._stream = container, stream
        self.go_on = container.format.name in GO_ON
        self._count = 0
        self._latest: int | None = None  # stamp
        self._end = self._longest = self._reached = 0
        self._first: Packet[VideoStream] | None = None
        self._last: Packet[VideoStream] | None = None
        self.truncated = False

    def __iter__(self) -> Iterator["Packet[VideoStream]"]:
        counted = bool(self._stream.frames)
        tells_duration = self._container.format.name in TELL_DURATION
        try:
            packets = self._among_all() if tells_duration else self._container.demux(self._stream)
            for packet in packets:
                if packet.is_corrupt and not self.go_on:
                    self.truncated = True
                    return
                if not packet.size:
                    continue
                self._count += 1
                self._last = packet
                if self._first is None:
                    self._first = packet
                if not counted and packet.pts is not None:
                    self._note_end(packet.pts, packet.duration)
                yield packet
        except FFmpegError as error:
            pass_on_shortage(error)
            self.truncated = True
            return
        self.truncated = self._falls_short()

    @property
    def last_dts(self) -> int | None:
        """Decoding time of the last packet, in ticks. Packets that are missing after it are shown later."""
        return self._last.dts if self._last is not None else None

    def _falls_short(self) -> bool:
        if declared := self._declared_count():
            return self._count < declared and self._span() < self._declared_span()
        if self._container.format.name not in TELL_DURATION:
            return False
        all_there, declared_s = is_all_there(self._container.name, self._container.format.name), self._duration_s()
        behind = self._container.size - self._reached
        if all_there and behind > max(MOST_BEHIND_BYTES, MOST_BEHIND_SHARE * self._container.size):
            all_there = None
        if all_there or declared_s is None:
            return all_there is False
        tolerance_s = DURATION_TOLERANCE_S if all_there is None else 0.5 * self._longest * self._tick_s()
        return self._end * self._tick_s() < declared_s - tolerance_s

    def _among_all(self) -> Iterator["Packet[VideoStream]"]:
        """Yield the packets of this stream; those of all streams show how far the file was read."""
        for packet in self._container.demux():
            self._reached = max(self._reached, (packet.pos or 0) + packet.size)
            if packet.stream_index == self._stream.index:
                yield cast("Packet[VideoStream]", packet)

    def _note_end(self, pts: int, duration: int | None) -> None:
        """Update the end of the packets so far. A packet without a duration lasts as long as the longest before it."""
        if self._latest is not None:
            self._longest = max(self._longest, pts - self._latest)
        self._latest = pts if self._latest is None else max(self._latest, pts)
        self._end = max(self._end, pts + (duration or self._longest))

    def _declared_count(self) -> int:
        """Return the declared number of packets; for MP4, from FFmpeg's index: the samples that edit lists select."""
        mp4 = self._container.format.name.startswith("mov,")
        return len(self._stream.index_entries) if mp4 else self._stream.frames

    def _span(self) -> float:
        """Return the duration of the packets in ticks."""
        if self._first is None or self._last is None or self._first.dts is None or self._last.dts is None:
            return 0
        return self._last.dts - self._first.dts + (self._last.duration or 0)

    def _declared_span(self) -> float:
        """Return the declared duration in ticks.

        In AVI, FFmpeg replaces the declared duration, but a tick is a frame.
        """
        if self._container.format.name == "avi":
            return self._stream.frames
        return self._stream.duration or math.inf

    def _duration_s(self) -> float | None:
        """Return the declared duration in seconds, None if there is none."""
        if self._stream.duration:
            return self._stream.duration * self._tick_s()
        if "DURATION" in self._stream.metadata:
            return clock_time_s(self._stream.metadata["DURATION"])
        alone = len(self._container.streams) == 1
        return self._container.duration / av.time_base if alone and self._container.duration else None

    def _tick_s(self) -> float:
        return float(self._stream.time_base or 0)


def clock_time_s(text: str) -> float | None:
    """Return the seconds of a Matroska duration such as `00:01:02.500000000`, None for other text."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
