"""Owner's side of the decoder process: start it, exchange messages, detect crashes and hangs, end it."""

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
from attn.video.sandbox.channel import Channel, MessageError
from attn.video.sandbox.confinement import (
    LAYERS,
    MOST_MEMORY_BYTES,
    OUT_OF_MEMORY,
    OUT_OF_THREADS,
    Layer,
    bare_environment,
)
from attn.video.sandbox.lending import SlotLender
from attn.video.sandbox.slot import Slot, anonymous_file
from attn.video.sandbox.wire import Free, FromDecoder, FromOwner, Ready, dump, parse_from_decoder

log = logging.getLogger(__name__)

WITHOUT: dict[Layer, str] = {
    "landlock": "Landlock (needs Linux 5.13 or later, and a kernel and container that allow it); without it, a video "
    "that takes over its decoder could read the environment and memory of your other processes, including keys and "
    "tokens",
    "seccomp": "seccomp (needs Linux on x86-64 or ARM64, and a container that allows it); without it, a video that "
    "takes over its decoder could start processes, use the network and signal your other processes",
}
"""Name and requirements of each layer of the sandbox, and the risk without it."""

# Two that the owner may hold, one that is ready, one that is being filled.
SLOTS = 4
LENDABLE = SLOTS - 2
START_TIMEOUT_S = 120.0
LISTENING_TIMEOUT_S = 10.0  # the decoder reads between chunks, and messages fit in the socket's buffer in any case

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy would start a thread per core without need
    # With the defaults, glibc returned the memory of every frame and requested it again: 10 % of the time on 720p
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


class DecoderChild:
    """Running decoder process and the slots through which it passes images.

    The process is killed when this object is deleted, and when its owner ends for any reason (`decoder_process`).

    Args:
        threads: whether the process may start threads, which decord needs.

    Attributes:
        lender: lender of the slots that the process fills.
        threads: whether the process may start threads.

    Raises:
        FleetingError: the process does not start; this is not the fault of a video.
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
        """ID of the process."""
        return self._process.pid

    def runs(self) -> bool:
        """Return whether the process is alive."""
        return self._end.alive and self._process.poll() is None

    def is_bloated(self) -> bool:
        """Return whether the process holds more than half of its memory limit, so that the next video may fail."""
        try:
            # Called for every video, so without Path and text decoding.
            with open(f"/proc/{self.pid}/statm", "rb", buffering=0) as statm:
                pages = int(statm.read(200).split()[5])
        except OSError:
            return False
        return pages * resource.getpagesize() > MOST_MEMORY_BYTES // 2

    def tell(self, message: FromOwner) -> None:
        """Send a message. If the process died, or is killed here because it does not read, `hear` fails later."""
        try:
            self._channel.send(dump(message), LISTENING_TIMEOUT_S)
        except TimeoutError:
            self.kill()
        except OSError:
            pass

    def give_back(self) -> None:
        """Return unused slots to the process, so that it can fill them again."""
        if slots := self.lender.returned():
            self.tell(Free(slots))

    def hear(self, timeout_s: float) -> FromDecoder:
        """Return the next message of the process.

        Raises:
            TimeoutError: no message arrived in time; the process is killed.
            ChildProcessError: the process died; the error names the cause.
            MessageError: the message is invalid; the process is killed.
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
        """Kill the process. Images in its slots stay valid as long as they are referenced."""
        self._end()

    def _cause_of_death(self) -> str:
        """Wait for a process that closed its channel to end, and return the cause."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self.kill()
        code = self._process.returncode
        if code == OUT_OF_MEMORY:
            return f"it reached its memory limit of {MOST_MEMORY_BYTES >> 30} GiB"
        if code == OUT_OF_THREADS:
            return "it could not start a thread"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _wait_until_ready(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101  for the type checker
        with stderr:
            try:
                ready = self.hear(START_TIMEOUT_S)
                if not isinstance(ready, Ready):
                    self.kill()
                    raise MessageError("an unexpected first message")
            except (TimeoutError, ChildProcessError, MessageError) as error:
                lines = stderr.read().decode(errors="replace").split("\n")
                reason = next((line for line in reversed(lines) if line.strip()), str(error))
                raise FleetingError(f"the decoder process does not start: {reason}") from error
        # The list of layers can be trusted, because the process has not opened a video yet.
        _warn_once(tuple(layer for layer in LAYERS if layer not in ready.layers))


@functools.cache
def _warn_once(missing: tuple[Layer, ...]) -> None:
    """Warn about missing layers of the sandbox; only once, because they are the same for every decoder process."""
    if missing:
        layers = ". Missing: ".join(WITHOUT[layer] for layer in missing)
        neither = ". Without both, it could also change and remove your files" if len(missing) == len(LAYERS) else ""
        log.warning("Decoders are not fully confined on this machine. Missing: %s%s.", layers, neither)


def _start(descriptors: list[int], threads: bool) -> "subprocess.Popen[bytes]":
    """Start the process with only these descriptors, in a session of its own, so that Ctrl-C reaches only the owner."""
    root = str(Path(attn.__file__).parents[1])
    environment = {
        **bare_environment(os.environ),
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
    }
    return subprocess.Popen(  # noqa: S603  our own module
        [
            sys.executable,
            "-P",
            "-m",
            "attn.video.sandbox.decoder_process",
            *map(str, descriptors),
            *["threads"] * threads,
        ],
        stdin=subprocess.PIPE,  # never written to: the process ends when its owner closes it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # read only while the process starts, so later output of libraries is lost
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
