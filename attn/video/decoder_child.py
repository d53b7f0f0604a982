"""Owning the process that decodes: starting it, hearing it, noticing that it hangs or died, ending it."""

import contextlib
import functools
import logging
import os
import resource
import socket
import subprocess
import sys
import weakref
from pathlib import Path

import attn
from attn.errors import FleetingError
from attn.video.channel import Channel, MessageError
from attn.video.confinement import LAYERS, MOST_MEMORY_BYTES, OUT_OF_MEMORY, OUT_OF_THREADS, Layer, bare_environment
from attn.video.lending import SlotLender
from attn.video.slot import Slot, anonymous_file
from attn.video.wire import Free, FromDecoder, FromOwner, Ready, dump, parse_from_decoder

log = logging.getLogger(__name__)

WITHOUT: dict[Layer, str] = {
    "landlock": "Landlock (Linux 5.13 or later, unless its configuration or the container's forbids it): a video that "
    "takes over its decoder could read the environment and memory of your other processes, keys and tokens included",
    "seccomp": "seccomp (Linux on x86-64 or ARM64, unless the container forbids it): a video that takes over its "
    "decoder could start processes, use the network and signal your other processes",
}
"""What a layer of the confinement is called, and what holds only with it."""

# Two for the owner's hands, one that is ready, one that is being filled.
SLOTS = 4
LENDABLE = SLOTS - 2
START_TIMEOUT_S = 120.0
LISTENING_TIMEOUT_S = 10.0  # it listens between chunks, and what it is told fits in the system's buffer anyway

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy would start a thread per core, for nothing
    # glibc gave the memory of every frame back to the system and fetched it anew: a tenth of the time on 720p
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


class DecoderChild:
    """A running decoder process and the slots through which it hands over images.

    It is killed when this object goes, and when this process does, however it does (`decoder_process`).

    Args:
        threads: may it start some, as decord must?

    Attributes:
        lender: of the slots that it fills.
        threads: as told.

    Raises:
        FleetingError: it does not start, which is no video's fault.
    """

    def __init__(self, threads: bool = False) -> None:
        self.threads = threads
        slots = [Slot(anonymous_file()) for _ in range(SLOTS)]
        self.lender = SlotLender(slots, LENDABLE)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            self._process = _start([theirs.fileno(), *(slot.descriptor for slot in slots)], threads)
        self._end = weakref.finalize(self, _end, self._process, self._channel, slots)
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def runs(self) -> bool:
        """Is it alive?"""
        return self._end.alive and self._process.poll() is None

    def is_bloated(self) -> bool:
        """Does it hold so much memory that the next video may lack some? A few videos that leak would fail another."""
        try:
            with open(
                f"/proc/{self.pid}/statm", "rb", buffering=0
            ) as statm:  # asked once a video: no decoding, no Path
                pages = int(statm.read(200).split()[5])
        except OSError:
            return False
        return pages * resource.getpagesize() > MOST_MEMORY_BYTES // 2

    def tell(self, message: FromOwner) -> None:
        """Sends a message. That the child died meanwhile, or was killed here as it did not listen, shows later."""
        try:
            self._channel.send(dump(message), LISTENING_TIMEOUT_S)
        except TimeoutError:
            self.kill()
        except OSError:
            pass

    def give_back(self) -> None:
        """Lets it fill again the slots that no one uses any more."""
        if slots := self.lender.returned():
            self.tell(Free(slots))

    def hear(self, timeout_s: float) -> FromDecoder:
        """Its next message.

        Raises:
            TimeoutError: none came in time; it is killed.
            ChildProcessError: it died; the message says of what.
            MessageError: it is out of its mind; it is killed.
        """
        try:
            return parse_from_decoder(self._channel.receive(timeout_s))
        except MessageError:
            self.kill()
            raise
        except TimeoutError:
            self.kill()
            raise
        except OSError:
            raise ChildProcessError(self._cause_of_death()) from None

    def kill(self) -> None:
        """Ends it, whatever it does. Images in its slots stay as long as someone holds them."""
        self._end()

    def _cause_of_death(self) -> str:
        """Waits for the end of a child that closed its channel."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self.kill()
        code = self._process.returncode
        if code == OUT_OF_MEMORY:
            return f"it asked for more than its {MOST_MEMORY_BYTES >> 30} GiB of memory"
        if code == OUT_OF_THREADS:
            return "it could start no thread"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _wait_until_ready(self) -> None:
        complaint = self._process.stderr
        assert complaint is not None  # noqa: S101  for the type checker
        with complaint:
            try:
                ready = self.hear(START_TIMEOUT_S)
                if not isinstance(ready, Ready):
                    self.kill()
                    raise MessageError("what is no greeting")
            except (TimeoutError, ChildProcessError, MessageError) as error:
                lines = complaint.read().decode(errors="replace").split("\n")
                reason = next((line for line in reversed(lines) if line.strip()), str(error))
                raise FleetingError(f"the decoder process does not start: {reason}") from error
        # Believed: it has seen no video yet.
        _warn_once(tuple(layer for layer in LAYERS if layer not in ready.layers))


@functools.cache
def _warn_once(missing: tuple[Layer, ...]) -> None:
    """Says what does not hold here; once, since it will be the same of every child."""
    if missing:
        could = "; ".join(WITHOUT[layer] for layer in missing)
        worse = "; with neither it could also change and remove your files" if len(missing) == len(LAYERS) else ""
        log.warning("decoders are not wholly confined on this machine, which lacks %s%s", could, worse)


def _start(descriptors: list[int], threads: bool) -> "subprocess.Popen[bytes]":
    """The process, with these descriptors and no others of ours, in a session of its own: Ctrl-C is the owner's."""
    root = str(Path(attn.__file__).parents[1])
    environment = {
        **bare_environment(os.environ),
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
    }
    return subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-P", "-m", "attn.video.decoder_process", *map(str, descriptors), *["threads"] * threads],
        stdin=subprocess.PIPE,  # never written: its closing tells the child that we are gone
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # what libraries print there later finds no reader; nothing reaches our log
        pass_fds=descriptors,
        start_new_session=True,
        env=environment,
    )


def _end(process: "subprocess.Popen[bytes]", channel: Channel, slots: list[Slot]) -> None:
    process.kill()
    process.wait()
    channel.close()
    assert process.stdin is not None  # noqa: S101  for the type checker
    process.stdin.close()
    for slot in slots:
        slot.close()
