"""Reading files through the guard, with what it costs: time, and the memory of the process that decodes."""

import contextlib
import dataclasses
import hashlib
import threading
import time
from pathlib import Path

import numpy as np

from attn.errors import VideoError
from attn.video.chunks import FrameChunk
from attn.video.decode import DecoderName
from attn.video.reading import Reading
from attn.video.sample import Sampling
from attn.video.sandbox.guard import FrameReader

SIZE = 32
OUTCOMES = ("complete", "truncated", "failed", "timeout", "crashed")
LOOK_EVERY_S = 0.01


@dataclasses.dataclass
class Outcome:
    """What came of a file.

    Attributes:
        outcome: of OUTCOMES; complete and truncated ones have rows.
        digest: of indices, times and images.
        peak_mb: most memory of the decoding process, with what it shares, while this file was read.
        problems: what should not be.
    """

    outcome: str
    rows: int = 0
    message: str = ""
    digest: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    problems: list[str] = dataclasses.field(default_factory=list)


class MeasuredReader:
    """A `FrameReader` under observation; close it."""

    def __init__(self, timeout_s: float, decoder: DecoderName = "auto"):
        self._reader, self._timeout_s = FrameReader(), timeout_s
        self._decoder: DecoderName = decoder
        self._peak_mb, self._closed = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def read(self, path: Path, sampling: Sampling) -> Outcome:
        """All of a file."""
        _forget_peak(self._reader.child_pid)
        self._peak_mb, started_s = 0.0, time.monotonic()
        reading = self._reader.read(path, sampling, SIZE, decoder=self._decoder, timeout_s=self._timeout_s)
        try:
            outcome = _summary(reading, path.name)
        except VideoError as error:
            message = str(error)
            timeout, crashed = "made no progress for" in message, "the decoder crashed" in message
            outcome = Outcome("timeout" if timeout else "crashed" if crashed else "failed", message=message)
        outcome.seconds = time.monotonic() - started_s
        outcome.peak_mb = max(self._peak_mb, peak_mb(self._reader.child_pid))
        return outcome

    def close(self) -> None:
        self._closed.set()
        self._watch.join()
        self._reader.close()

    def _look(self) -> None:
        """A process that is killed takes its figures with it: they are asked for all the time."""
        while not self._closed.wait(LOOK_EVERY_S):
            self._peak_mb = max(self._peak_mb, peak_mb(self._reader.child_pid))


def peak_mb(pid: int | None) -> float:
    """The most memory a process ever had resident; 0 of one that is gone."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0


def _forget_peak(pid: int | None) -> None:
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _summary(reading: Reading[FrameChunk], name: str) -> Outcome:
    digest, rows, problems = hashlib.sha256(), 0, []
    last_frame, last_s = -1, -np.inf
    for chunk in reading:
        for values in (chunk.index, chunk.time_s, chunk.images):
            digest.update(np.ascontiguousarray(values).tobytes())
        rows += len(chunk.index)
        problems += order_problems(np.append(last_frame, chunk.index), np.append(last_s, chunk.time_s))
        last_frame, last_s = chunk.index[-1], chunk.time_s[-1]
    if not rows:
        return Outcome("failed", message=f"{name}: no frame is kept")
    outcome = "truncated" if reading.end.truncated else "complete"
    return Outcome(outcome, rows, digest=digest.hexdigest()[:16], problems=problems[:3])


def order_problems(frame: np.ndarray, time_s: np.ndarray) -> list[str]:
    """Frames must increase, and so must times, as far as float32 tells them apart; the first may be minus infinity."""
    problems = []
    if not (np.diff(frame) > 0).all():
        problems.append(f"frames do not increase: {frame[:20].tolist()}")
    if not np.isfinite(time_s[1:]).all():
        problems.append(f"times are not finite: {time_s[:20].tolist()}")
    elif not (np.diff(time_s) >= 0).all():
        problems.append(f"times go back: {time_s[:20].tolist()}")
    return problems
