"""Reading videos through a process that may be killed, so that no video can hurt the one that asks.

FFmpeg and decord can crash, or spin for ever with the interpreter locked, on files from the wild. The price of the
guard is one message and no copy per chunk of frames: some 2 % of decoding at a CNN's size, up to 5 % of short clips at
full size (bench/decode.py), and under half a second for the first video and after every crash, to start a process.
"""

import importlib.util
import os
from collections.abc import Generator
from types import TracebackType

import numpy as np

from attn.errors import UsageError, VideoError
from attn.video.chunks import FrameChunk
from attn.video.decode import DecoderName
from attn.video.decoder_child import DecoderChild
from attn.video.reading import Reading, VideoEnd
from attn.video.sample import Sampling
from attn.video.wire import Decode, Failed, Filled, FromDecoder, Stop, Stopped

LIVE_SIGNS_PER_TIMEOUT = 4


class FrameReader:
    """Reads one video after the other in a child process that is kept for the next, and replaced when it dies.

    Use it from one thread at a time; any thread will do.
    """

    def __init__(self) -> None:
        self._child: DecoderChild | None = None
        self._reading: Decode | None = None

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
            timeout_s: the child is killed when no frame was decoded (kept or not) for so long.

        Raises:
            VideoError: while reading: the video cannot be decoded, or it crashed or hung the decoder.
            UsageError: at once: the decoder does not exist on this machine.
        """
        if decoder == "decord" and importlib.util.find_spec("decord") is None:
            raise UsageError("--decoder decord: decord is not installed on this machine; use --decoder auto")
        request = Decode(os.path.abspath(os.fspath(path)), sampling, size, decoder, timeout_s / LIVE_SIGNS_PER_TIMEOUT)
        return Reading(self._chunks(request, timeout_s))

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
        child = self._idle_child(timeout_s)
        self._reading = request
        child.tell(request)
        while True:
            child.give_back()
            message = self._hear(child, request, timeout_s)
            if isinstance(message, Filled):
                yield FrameChunk(
                    index=np.array(message.index, np.int32),
                    time_s=np.array(message.time_s, np.float32),
                    images=child.lender.images(message.slot, message.shape),
                )
            elif isinstance(message, VideoEnd):
                self._reading = None
                return message
            elif isinstance(message, Failed):
                self._reading = None
                raise VideoError(message.message)

    def _hear(self, child: DecoderChild, request: Decode, timeout_s: float) -> FromDecoder:
        if self._reading is not request:
            raise RuntimeError(f"{request.path}: its reading was ended by the next one, or by close()")
        try:
            return child.hear(timeout_s)
        except TimeoutError:
            self.close()
            raise VideoError(
                f"{request.path}: the decoder made no progress for {timeout_s:g} s and was ended"
            ) from None
        except ChildProcessError as death:
            self.close()
            raise VideoError(f"{request.path}: the decoder crashed ({death})") from None

    def _idle_child(self, timeout_s: float) -> DecoderChild:
        """The child, done with the reading before; a new one where it died or does not come to an end."""
        if self._child is not None and self._reading is not None:
            self._stop(self._child, timeout_s)
        if self._child is None or not self._child.runs():
            self._child = DecoderChild()
        return self._child

    def _stop(self, child: DecoderChild, timeout_s: float) -> None:
        """Without free slots it soon has to listen."""
        child.tell(Stop())
        try:
            while not isinstance(message := child.hear(timeout_s), VideoEnd | Failed | Stopped):
                if isinstance(message, Filled):
                    child.lender.drop(message.slot)
        except (TimeoutError, ChildProcessError):
            child.kill()
