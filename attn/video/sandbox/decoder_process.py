"""Decoder process, separate from its owner because a damaged video may crash it or make it hang.

    python -m attn.video.sandbox.decoder_process CHANNEL SLOT SLOT … [threads]

CHANNEL and SLOT are numbers of inherited file descriptors; with `threads`, the process may start threads, which decord
needs.

The process confines itself (`confinement`) before it opens the first video, so a video that takes it over gains little.
It imports neither torch nor ray, and ends when its owner does. On Linux, the system kills it as soon as the owner's end
of standard input closes, even if the process spins in C and holds the interpreter lock. On other systems, it ends when
it next writes to its owner or waits for a message.
"""

import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from jaxtyping import UInt8

from attn.errors import VideoError
from attn.video.chunks import Shape, gather
from attn.video.decode import read_frames
from attn.video.decord_decoder import NoThreadError
from attn.video.header import read_header
from attn.video.reading import Reading, VideoEnd, VideoHeader
from attn.video.sandbox.channel import Channel
from attn.video.sandbox.confinement import OUT_OF_MEMORY, OUT_OF_THREADS, Layer, confine
from attn.video.sandbox.slot import Slot
from attn.video.sandbox.wire import (
    LONGEST_TEXT,
    Alive,
    Decode,
    Failed,
    Filled,
    Free,
    FromDecoder,
    FromOwner,
    Look,
    Ready,
    Stop,
    Stopped,
    dump,
    parse_from_owner,
)

THREADS = "threads"


def main(words: Sequence[str]) -> None:
    end_with_owner()
    layers = confine(threads=THREADS in words)
    channel, *slots = [int(word) for word in words if word != THREADS]
    server = _Server(_Owner(Channel(socket.socket(fileno=channel))), [Slot(slot) for slot in slots])
    server.run(layers)


def end_with_owner() -> None:
    """Make the system kill this process when the other end of its standard input closes."""
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


class _Owner:
    """Channel to the owner; the process exits when the owner is gone."""

    def __init__(self, channel: Channel):
        self._channel = channel

    def tell(self, message: FromDecoder) -> None:
        try:
            self._channel.send(dump(message))
        except ConnectionError:
            sys.exit()

    def hear(self) -> FromOwner:
        try:
            return parse_from_owner(self._channel.receive())
        except ConnectionError:
            sys.exit()


class _Stopped(Exception):  # noqa: N818  not an error
    """The owner cancelled the video."""


class _Server:
    """Loop that decodes one video after another."""

    def __init__(self, owner: _Owner, slots: list[Slot]):
        self._owner, self._slots = owner, slots
        self._free = list(range(len(slots)))
        self._filling = 0

    def run(self, layers: list[Layer]) -> NoReturn:
        self._owner.tell(Ready(layers))
        while True:
            message = self._owner.hear()
            if isinstance(message, Decode | Look):
                self._owner.tell(self._outcome(message))
            elif isinstance(message, Free):
                self._free.extend(message.slots)

    def _outcome(self, request: Decode | Look) -> VideoEnd | VideoHeader | Failed | Stopped:
        try:
            return read_header(request.path) if isinstance(request, Look) else self._decode(request)
        except _Stopped:
            return Stopped()
        except VideoError as error:
            return Failed(str(error)[:LONGEST_TEXT])
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # leaked memory would be missing for the next video
        except NoThreadError:
            os._exit(OUT_OF_THREADS)  # not a failure of the video
        except Exception as error:  # any error that a malformed file provokes is a failure of that file
            return Failed(f"{request.path}: cannot be decoded: {type(error).__name__}: {error}"[:LONGEST_TEXT])

    def _decode(self, request: Decode) -> VideoEnd:
        pulse = _Pulse(self._owner, request.alive_every_s)
        frames = read_frames(request.path, request.sampling, request.decoder, pulse.beat)
        chunks = Reading(gather(frames, request.size, self._allocate, request.resampling))
        for chunk in chunks:
            index, time_s = chunk.index.tolist(), chunk.time_s.tolist()
            self._owner.tell(Filled(self._filling, chunk.images.shape, index, time_s))
            pulse.restart()
        return chunks.end

    def _allocate(self, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """Return the array of a free slot. If none is free, wait until the owner returns one or cancels the video."""
        while not self._free:
            message = self._owner.hear()
            if isinstance(message, Stop):
                raise _Stopped
            if isinstance(message, Free):
                self._free.extend(message.slots)
        self._filling = self._free.pop()
        return self._slots[self._filling].array(shape)


class _Pulse:
    """Periodic sign of life to the owner while frames are decoded but none is sampled."""

    def __init__(self, owner: _Owner, every_s: float):
        self._owner, self._every_s = owner, every_s
        self.restart()

    def restart(self) -> None:
        self._next_s = time.monotonic() + self._every_s

    def beat(self) -> None:
        if time.monotonic() > self._next_s:
            self._owner.tell(Alive())
            self.restart()


if __name__ == "__main__":
    main(sys.argv[1:])
