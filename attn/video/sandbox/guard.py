"""Reading of videos in a separate process that may be killed, so that no video can harm the caller.

On files from the wild, FFmpeg and decord can crash, or loop forever while they hold the interpreter lock. The price of
the guard is one message and no copy per chunk of frames: about 1 % of decoding at a CNN's input size, up to 5 % for
short clips at full size (bench/decode.py). Starting a process, for the first video and after every crash, takes less
than half a second.
"""

import importlib.util
import os
import time
from collections.abc import Generator
from types import TracebackType, UnionType
from typing import cast

import numpy as np

from attn.errors import FleetingError, UsageError, VideoError
from attn.video.chunks import FrameChunk
from attn.video.reading import DecoderName, Reading, VideoEnd, VideoHeader
from attn.video.sample import Sampling
from attn.video.sandbox.channel import MessageError
from attn.video.sandbox.decoder_child import DecoderChild
from attn.video.sandbox.wire import Alive, Decode, Failed, Filled, FromDecoder, Look, Ready, Stop, Stopped
from attn.video.transform import BILINEAR, Resampling

LIVE_SIGNS_PER_TIMEOUT = 4
MOST_TIMEOUTS = 1440
"""Limit of the total wait for one video, in timeouts: a day, at a timeout of a minute. Without it, a compromised
decoder could block its owner forever with occasional signs of life."""


class FrameReader:
    """Reader of videos in a decoder process, which is reused for the next video and replaced when it dies.

    Use a reader from one thread at a time, not necessarily the same one.
    """

    def __init__(self) -> None:
        self._child: DecoderChild | None = None
        self._reading: Decode | Look | None = None

    @property
    def child_pid(self) -> int | None:
        """ID of the decoder process, None if there is none."""
        return self._child.pid if self._child is not None else None

    def read(
        self,
        path: str | os.PathLike[str],
        sampling: Sampling,
        size: int | None,
        decoder: DecoderName = "auto",
        timeout_s: float = 60.0,
        resampling: Resampling = BILINEAR,
    ) -> Reading[FrameChunk]:
        """Return the sampled frames of a video in chunks; after the last one, `.end` is the end record.

        The images of the first two chunks that the caller holds at a time are in memory shared with the decoder
        process, and stay valid as long as they are referenced; those of further chunks are copied. A reading may be
        abandoned before its end; the next one ends it.

        Args:
            path: local path of the video.
            sampling: rule that selects the frames.
            size: side of the square images, in pixels (`resize_and_crop`); None leaves the frames as they are.
            decoder: auto, pyav or decord.
            timeout_s: time without a decoded frame (sampled or not) after which the decoder process is killed. The
                total wait for the video is limited to 1440 times as long.
            resampling: part of a frame that is kept, and the interpolation, if frames are resized.

        Raises:
            VideoError: the video cannot be decoded, takes too long, or took over the decoder; raised while reading.
            FleetingError: the decoder crashed, hung or was killed, because of this video or something else; raised
                while reading.
            UsageError: the decoder is not installed on this machine; raised at once.
        """
        if decoder == "decord" and importlib.util.find_spec("decord") is None:
            raise UsageError("--decoder decord: decord is not installed on this machine. Use --decoder auto.")
        request = Decode(_absolute(path), sampling, size, decoder, timeout_s / LIVE_SIGNS_PER_TIMEOUT, resampling)
        return Reading(self._chunks(request, timeout_s))

    def header(self, path: str | os.PathLike[str], timeout_s: float = 60.0) -> VideoHeader:
        """Return the length that the header of a video declares. This ends an abandoned reading.

        Args:
            path: local path of the video.
            timeout_s: time after which the decoder process is killed.

        Raises:
            VideoError, FleetingError: see `read`.
        """
        request = Look(_absolute(path))
        child = self._idle_child(timeout_s, threads=False)
        self._reading = request
        child.tell(request)
        message = self._hear(_Watch(child, timeout_s, VideoHeader | Failed), request, timeout_s)
        self._reading = None
        if isinstance(message, Failed):
            raise VideoError(message.message)
        return cast("VideoHeader", message)

    def close(self) -> None:
        """End the decoder process; another reading starts a new one."""
        self._reading = None
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chunks(self, request: Decode, timeout_s: float) -> Generator[FrameChunk, None, VideoEnd]:
        child = self._idle_child(timeout_s, threads=request.decoder == "decord")
        self._reading = request
        child.tell(request)
        watch = _Watch(child, timeout_s, Filled | VideoEnd | Failed | Alive, request.alive_every_s)
        last = -1
        while True:
            child.give_back()
            message = self._hear(watch, request, timeout_s)
            if isinstance(message, Filled):
                yield self._chunk(child, request, message, last)
                last = message.index[-1]
            elif isinstance(message, VideoEnd):
                self._reading = None
                return message
            elif isinstance(message, Failed):
                self._reading = None
                raise VideoError(message.message)

    def _chunk(self, child: DecoderChild, request: Decode, filled: Filled, last: int) -> FrameChunk:
        """Return the chunk in a filled slot, after checking that it can follow the frame of index `last`."""
        try:
            if filled.index[0] <= last or (request.size and filled.shape[1:3] != (request.size, request.size)):
                raise MessageError("frames that were not requested")
            images = child.lender.images(filled.slot, filled.shape)
        except MessageError as error:
            self.close()
            raise VideoError(_invalid(request, error)) from None
        return FrameChunk(np.array(filled.index, np.int32), np.array(filled.time_s, np.float32), images)

    def _hear(self, watch: "_Watch", request: Decode | Look, timeout_s: float) -> FromDecoder:
        if self._reading is not request:
            raise RuntimeError(f"{request.path}: this reading was ended by the next one or by close()")
        try:
            return watch.hear()
        except _TooLongError:
            self.close()
            raise VideoError(
                f"{request.path}: the decoder was ended after {MOST_TIMEOUTS * timeout_s / 3600:.1f} h. "
                "Cut the video, or raise --decode-timeout-s."
            ) from None
        except TimeoutError:
            self.close()
            raise FleetingError(
                f"{request.path}: the decoder made no progress for {timeout_s:g} s and was ended"
            ) from None
        except ChildProcessError as error:
            self.close()
            raise FleetingError(f"{request.path}: the decoder crashed ({error})") from None
        except MessageError as error:
            self.close()
            raise VideoError(_invalid(request, error)) from None

    def _idle_child(self, timeout_s: float, threads: bool) -> DecoderChild:
        """Return an idle decoder process: a new one if the old one died, hangs, leaks memory or lacks threads."""
        if self._child is not None and self._reading is not None:
            self._stop(self._child, timeout_s)
        if self._child is not None and self._child.is_bloated():
            self._child.kill()
        if self._child is not None and threads and not self._child.threads:
            self._child.kill()
        if self._child is None or not self._child.runs():
            self._child = DecoderChild(threads)
        return self._child

    def _stop(self, child: DecoderChild, timeout_s: float) -> None:
        """End the current reading. Without free slots, the decoder process soon has to read the message."""
        child.tell(Stop())
        deadline_s = time.monotonic() + timeout_s
        try:
            while not isinstance(message := child.hear(_left_s(deadline_s)), VideoEnd | VideoHeader | Failed | Stopped):
                if isinstance(message, Ready):
                    raise MessageError("an unexpected message")
                if isinstance(message, Filled):
                    child.lender.drop(message.slot)
        except (TimeoutError, ChildProcessError, MessageError):
            child.kill()


class _TooLongError(Exception):
    """The total wait for a video exceeded its limit."""


class _Watch:
    """Receiver of a decoder's messages about one video, with a limit on the total wait.

    Signs of life may have queued up while the owner was busy, but never more than the elapsed time allows.

    Args:
        child: decoder process.
        timeout_s: timeout for each message.
        welcome: types of expected messages; others are errors.
        sign_every_s: time between two signs of life.
    """

    def __init__(self, child: DecoderChild, timeout_s: float, welcome: UnionType, sign_every_s: float = 0.0):
        self._child, self._timeout_s = child, timeout_s
        self._welcome, self._sign_every_s = welcome, sign_every_s
        self._began_s = time.monotonic()
        self._waited_s = 0.0
        self._signs = 0

    def hear(self) -> FromDecoder:
        """Return the next message; raise as `DecoderChild.hear` does, or `_TooLongError`."""
        before_s = time.monotonic()
        message = self._child.hear(self._timeout_s)
        now_s = time.monotonic()
        self._waited_s += now_s - before_s
        if not isinstance(message, self._welcome):
            raise MessageError("an unexpected message")
        if isinstance(message, Alive):
            self._signs += 1
            if self._signs * self._sign_every_s > 2 * (now_s - self._began_s):
                raise MessageError("more signs of life than requested")
        if self._waited_s > MOST_TIMEOUTS * self._timeout_s:
            raise _TooLongError
        return message


def _left_s(deadline_s: float) -> float:
    if (left_s := deadline_s - time.monotonic()) <= 0:
        raise TimeoutError
    return left_s


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.fspath(path))


def _invalid(request: Decode | Look, error: MessageError) -> str:
    return f"{request.path}: the decoder was ended because it sent {error}"
