"""Decoding with PyAV from the first frame to the last, without seeking: after a seek, decoders lose count."""

import itertools
import math
from collections.abc import Generator, Iterable, Iterator

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from attn.errors import VideoError
from attn.video.aspect import PixelAspect
from attn.video.clock import FrameClock
from attn.video.gop_tails import needed_frames
from attn.video.opening import open_video_stream
from attn.video.orientation import Orientation, orientation_of
from attn.video.packets import IntactPackets
from attn.video.reading import MOST_PIXELS, Frame, VideoEnd
from attn.video.sample import Keep
from attn.video.sandbox.confinement import pass_on_shortage


def pyav_frames(path: str, keep: Keep) -> Generator[Frame, None, VideoEnd]:
    """Yield the sampled frames of the main video stream, up to the first damage.

    A transport stream is decoded to its end, because it continues after a loss.

    Raises:
        VideoError: no frame can be decoded.
    """
    with open_video_stream(path) as (container, stream):
        aspect = PixelAspect(stream)
        decoding = _Decoding(container, stream, aspect, keep)
        to_rgb = _ToRgb(aspect)
        for frame in decoding.kept_frames():
            yield Frame(decoding.index, decoding.time_s, to_rgb(frame))
    if decoding.index < 0:
        raise VideoError(
            f"{path}: no frame can be decoded. The file is empty, damaged or cut off, or its frames have more than "
            f"{MOST_PIXELS} pixels."
        )
    return VideoEnd(decoding.truncated, "pyav")


# Limit for guessed frames that are held until intact ones follow; a frame is large.
MOST_GUESSED = 16


class _Decoding:
    """Sampled frames of a stream in display order, up to the first damage.

    A transport stream continues after a loss: packets that cannot be decoded are skipped, and frames that the decoder
    guessed in part count if intact ones follow, so that indices equal those of other decoders.

    Attributes:
        index, time_s: index and time of the current frame.
        started: whether a frame was decoded. Packets that cannot be decoded before that are skipped.
        truncated: whether frames are missing; known after the last frame.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, aspect: PixelAspect, keep: Keep):
        self._packets = IntactPackets(container, stream)
        self._context = stream.codec_context
        self._aspect = aspect
        self._clock = FrameClock(container, stream)
        self._keep = keep
        self._damaged = False  # a packet could not be decoded
        self._stopped = False  # a packet after the first frame could not be decoded
        self._goes_on = False  # more packets follow, even if the current one cannot be decoded
        self._guessed: list[VideoFrame] = []  # guessed frames that wait for an intact one
        self.index, self.time_s, self.started = -1, 0.0, False

    @property
    def truncated(self) -> bool:
        return self._damaged or self._packets.truncated or bool(self._guessed)

    def kept_frames(self) -> Iterator[VideoFrame]:
        packets = iter(self._packets)
        if self._packets.go_on:
            packets = self._looking_ahead(packets)
        leaves_out = self._context.name == "mpeg4" and not (self._context.has_b_frames or self._packets.go_on)
        while not self._stopped and (packet := next(packets, None)) is not None:
            frames = self._decode(packet)
            yield from self._kept(frames)
            if leaves_out and len(frames) == 1:
                leaves_out = False
                uncertain = yield from needed_frames(packets, self._decode_one, self._keep_next)
                packets = itertools.chain([] if uncertain is None else [uncertain], packets)
        yield from self._kept(self._last_frames())

    def _kept(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        return (frame for frame in frames if self._keep_next(frame.pts))

    def _keep_next(self, pts: int | None) -> bool:
        self.index += 1
        self.time_s = self._clock.time_s(self.index, pts)
        return self._keep(self.index, self.time_s)

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        """Decode a packet and return the intact frames that come out; None flushes the decoder."""
        try:
            frames = self._aspect.decode(packet)
        except FFmpegError as error:
            pass_on_shortage(error)
            if not self._goes_on:
                self._damaged, self._stopped = True, self.started
            return []
        for frame in frames:
            if frame.is_corrupt or self._guessed:  # the decoder guessed a part of this frame or of an earlier one
                frames = self._with_guesses(frames)
                break
        self.started = self.started or bool(frames)
        return frames

    def _with_guesses(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """Return the intact frames and, if the stream continues, those guessed before an intact one."""
        taken: list[VideoFrame] = []
        for frame in frames:
            if frame.is_corrupt and not self._goes_on:
                self._damaged = self._stopped = True
                break
            self._guessed.append(frame)
            if not frame.is_corrupt or len(self._guessed) == MOST_GUESSED:
                taken += self._guessed
                self._guessed.clear()
        return taken

    def _looking_ahead(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[Packet[VideoStream]]":
        """Yield the packets, reading one ahead to know whether another follows."""
        packet = next(packets, None)
        while packet is not None:
            following = next(packets, None)
            self._goes_on = following is not None
            yield packet
            packet = following

    def _decode_one(self, packet: "Packet[VideoStream]") -> VideoFrame | None:
        frames = self._decode(packet)
        if len(frames) == 1:
            return frames[0]
        self._damaged = self._stopped = True
        return None

    def _last_frames(self) -> list[VideoFrame]:
        """Return the frames that the decoder still holds; for a cut video, only those shown before any missing one.

        Missing packets are shown no earlier than the decoding time of the last packet.
        """
        frames, last_dts = self._decode(None), self._packets.last_dts
        if not (self._stopped or self._packets.truncated):
            return frames
        in_place = -math.inf if last_dts is None else last_dts
        return [frame for frame in frames if frame.pts is not None and frame.pts <= in_place]


class _ToRgb:
    """Converter of frames to upright RGB with square pixels. FFmpeg's converter is set up once per type of frame."""

    def __init__(self, aspect: PixelAspect) -> None:
        self._aspect = aspect
        self._reformatter = VideoReformatter()
        self._orientation: Orientation | None = None

    def __call__(self, frame: VideoFrame) -> UInt8[np.ndarray, "row col 3"]:
        if self._orientation is None:  # a property of the stream, so that of the first frame holds for all
            self._orientation = orientation_of(frame)
        width = self._aspect.shown_width(frame)
        rgb = self._reformatter.reformat(frame, width=width, format="rgb24", threads=1)
        return self._orientation.apply(rgb.to_ndarray())
