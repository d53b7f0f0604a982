"""Reading videos through a process that may be killed, so that no video can hurt the one that asks.

FFmpeg and decord can crash, or spin for ever with the interpreter locked, on files from the wild. The price of the
guard is one message and no copy per chunk of frames: some 1 % of decoding at a CNN's size, up to 5 % of short clips at
full size (bench/decode.py), and under half a second for the first video and after every crash, to start a process.
"""

import importlib.util
import os
import time
from collections.abc import Generator
from types import TracebackType, UnionType
from typing import cast

import numpy as np

from attn.errors import FleetingError, UsageError, VideoError
from attn.video.channel import MessageError
from attn.video.chunks import FrameChunk
from attn.video.decoder_child import DecoderChild
from attn.video.reading import DecoderName, Reading, VideoEnd, VideoHeader
from attn.video.sample import Sampling
from attn.video.wire import Alive, Decode, Failed, Filled, FromDecoder, Look, Ready, Stop, Stopped

LIVE_SIGNS_PER_TIMEOUT = 4
MOST_TIMEOUTS = 1440
"""For which one video is waited, in all: a day, at a timeout of a minute. A decoder in wrong hands could otherwise hold
its owner for ever, with a sign of life now and then."""


class FrameReader:
    """Reads one video after the other in a child process that is kept for the next, and replaced when it dies.

    Use it from one thread at a time; any thread will do.
    """

    def __init__(self) -> None:
        self._child: DecoderChild | None = None
        self._reading: Decode | Look | None = None

    @property
    def child_pid(self) -> int | None:
        """Of the child, if there is one now."""
        return self._child.pid if self._child is not None else None

    def read(
        self,
        path: str | os.PathLike[str],
        sampling: Sampling,
        size: int | None,
        decoder: DecoderName = "auto",
        timeout_s: float = 60.0,
    ) -> Reading[FrameChunk]:
        """Chunks of the kept frames of a video; after the last one, `.end` tells how it ended.

        The images of the first two chunks that the caller holds at a time lie in memory shared with the child, and
        stay there as long as they are held; those of further chunks are copied. A reading may be left before its
        end; the next one ends it.

        Args:
            path: of a file on this machine.
            sampling: which frames are kept.
            size: side of the square images, in pixels (`resize_and_crop`); None for the frames as they are.
            decoder: auto, pyav or decord.
            timeout_s: the child is killed when no frame was decoded (kept or not) for so long, and when the video
                was waited for 1440 times as long.

        Raises:
            VideoError: while reading: the video cannot be decoded, takes too long, or took over the decoder.
            FleetingError: while reading: the decoder crashed, hung or was ended, by this video or by something else.
            UsageError: at once: the decoder does not exist on this machine.
        """
        if decoder == "decord" and importlib.util.find_spec("decord") is None:
            raise UsageError("--decoder decord: decord is not installed on this machine; use --decoder auto")
        request = Decode(_absolute(path), sampling, size, decoder, timeout_s / LIVE_SIGNS_PER_TIMEOUT)
        return Reading(self._chunks(request, timeout_s))

    def header(self, path: str | os.PathLike[str], timeout_s: float = 60.0) -> VideoHeader:
        """What the header of a video declares of its length; a reading that was left before its end is over.

        Args:
            path: of a file on this machine.
            timeout_s: the child is killed when it takes longer.

        Raises:
            VideoError, FleetingError: as while reading.
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
        """Ends the child; the next reading would start another."""
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
        """What was announced, where it can be true after the frame of index `last`."""
        try:
            if filled.index[0] <= last or (request.size and filled.shape[1:3] != (request.size, request.size)):
                raise MessageError("frames that were not asked for")
            images = child.lender.images(filled.slot, filled.shape)
        except MessageError as nonsense:
            self.close()
            raise VideoError(_insane(request, nonsense)) from None
        return FrameChunk(np.array(filled.index, np.int32), np.array(filled.time_s, np.float32), images)

    def _hear(self, watch: "_Watch", request: Decode | Look, timeout_s: float) -> FromDecoder:
        if self._reading is not request:
            raise RuntimeError(f"{request.path}: its reading was ended by the next one, or by close()")
        try:
            return watch.hear()
        except _TooLongError:
            self.close()
            raise VideoError(
                f"{request.path}: its decoder was ended after {MOST_TIMEOUTS * timeout_s / 3600:.1f} h; "
                "cut the video, or raise --decode-timeout-s"
            ) from None
        except TimeoutError:
            self.close()
            raise FleetingError(
                f"{request.path}: the decoder made no progress for {timeout_s:g} s and was ended"
            ) from None
        except ChildProcessError as death:
            self.close()
            raise FleetingError(f"{request.path}: the decoder crashed ({death})") from None
        except MessageError as nonsense:
            self.close()
            raise VideoError(_insane(request, nonsense)) from None

    def _idle_child(self, timeout_s: float, threads: bool) -> DecoderChild:
        """The child, done with the reading before; another where it died, does not come to an end or lacks threads."""
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
        """Without free slots it soon has to listen."""
        child.tell(Stop())
        deadline_s = time.monotonic() + timeout_s
        try:
            while not isinstance(message := child.hear(_left_s(deadline_s)), VideoEnd | VideoHeader | Failed | Stopped):
                if isinstance(message, Ready):
                    raise MessageError("what does not belong here")
                if isinstance(message, Filled):
                    child.lender.drop(message.slot)
        except (TimeoutError, ChildProcessError, MessageError):
            child.kill()


class _TooLongError(Exception):
    """A video takes longer than any that should be waited for."""


class _Watch:
    """Hears a decoder about one video, and not for ever.

    Signs of life may have piled up while the owner was busy, but never more than time has passed for.

    Args:
        welcome: kinds of messages; others are nonsense.
        sign_every_s: time between two signs of life.
    """

    def __init__(self, child: DecoderChild, timeout_s: float, welcome: UnionType, sign_every_s: float = 0.0):
        self._child, self._timeout_s = child, timeout_s
        self._welcome, self._sign_every_s = welcome, sign_every_s
        self._began_s = time.monotonic()
        self._waited_s = 0.0
        self._signs = 0

    def hear(self) -> FromDecoder:
        """The decoder's next message; errors as `DecoderChild.hear`, or `_TooLongError`."""
        before_s = time.monotonic()
        message = self._child.hear(self._timeout_s)
        now_s = time.monotonic()
        self._waited_s += now_s - before_s
        if not isinstance(message, self._welcome):
            raise MessageError("what does not belong into a video")
        if isinstance(message, Alive):
            self._signs += 1
            if self._signs * self._sign_every_s > 2 * (now_s - self._began_s):
                raise MessageError("more signs of life than were asked for")
        if self._waited_s > MOST_TIMEOUTS * self._timeout_s:
            raise _TooLongError
        return message


def _left_s(deadline_s: float) -> float:
    if (left_s := deadline_s - time.monotonic()) <= 0:
        raise TimeoutError
    return left_s


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.fspath(path))


def _insane(request: Decode | Look, nonsense: MessageError) -> str:
    return f"{request.path}: the decoder was ended, since it sent {nonsense}"
