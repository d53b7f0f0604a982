"""Progress reports of a run: a log line every few seconds, `progress.json`, and a progress bar on a terminal."""

import collections
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Self

from tqdm import tqdm

from attn.durations import clock
from attn.storage.ledger import PROGRESS, Ledger
from attn.storage.writer import Written

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
WINDOW_BEATS = 6
WAITING = "waiting for the first frames: processes are starting"


class Progress:
    """Reporter of progress every `HEARTBEAT_S` seconds while its `with` block runs.

    The frame rate covers the last half minute. The remaining time is estimated from the number of videos. A frame
    counts when a writer has received it, a video when all of its frames count.

    Args:
        ledger: store whose `progress.json` is written.
        done: number of videos that were complete before.
        failed: number of videos that had failed before.
        total: number of all videos of the run, including `done` and `failed`.
        written: function that queries the counts of the writers.
    """

    def __init__(self, ledger: Ledger, *, done: int, failed: int, total: int, written: Callable[[], Written]):
        self._ledger, self._total, self._written = ledger, total, written
        self._done_before, self._failed_before = done, failed
        self._frames = 0
        self._first: tuple[float, int] | None = None
        self._last_s = 0.0
        self._started_s = time.monotonic()
        self._reported = collections.deque([(self._started_s, 0)], maxlen=WINDOW_BEATS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done + failed, unit="video", disable=not terminal)
        self._bar.set_postfix_str(WAITING)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._bar.close()

    def add(self, frames: int) -> None:
        """Count frames that a writer has received."""
        self._frames += frames
        self._last_s = time.monotonic()
        self._first = self._first or (self._last_s, frames)

    @property
    def steady_rate(self) -> float | None:
        """Frames per second from the first to the last batch, without start and end; None before two batches."""
        if self._first is None or self._last_s == self._first[0]:
            return None
        return (self._frames - self._first[1]) / (self._last_s - self._first[0])

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started_s

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            self.tell(self._written)

    def tell(self, written: Callable[[], Written]) -> None:
        """Report once. Errors are logged and never stop the run."""
        try:
            self._tell(written())
        except Exception as error:
            log.debug("progress report failed: %s", error)

    def _tell(self, written: Written) -> None:
        now = time.monotonic()
        then, frames_then = self._reported[0]
        rate = (self._frames - frames_then) / max(now - then, 1e-9)
        self._reported.append((now, self._frames))
        finished = written.videos + written.failed
        done, failed = self._done_before + written.videos, self._failed_before + written.failed
        left = self._total - done - failed
        eta_s = self.seconds / finished * left if finished else None
        state = {
            "videos_done": done,
            "videos_total": self._total,
            "videos_failed": failed,
            "frames": self._frames,
            "frames_per_s": round(rate, 1),
            "elapsed_s": round(self.seconds, 1),
            "eta_s": None if eta_s is None else round(eta_s),
        }
        self._ledger.write(PROGRESS, json.dumps(state, indent=1))
        if not (self._frames or finished):
            if self._bar.disable:
                log.info("%s (for %.0f s)", WAITING, self.seconds)
        elif self._bar.disable:
            log.info(
                "%d/%d videos, %.1f frames/s, %d failed, ETA %s",
                *(done, self._total, rate, failed, "unknown" if eta_s is None else clock(eta_s)),
            )
        else:
            self._bar.set_postfix_str(f"{rate:.1f} frames/s, {failed} failed", refresh=False)
            self._bar.update(done + failed - self._bar.n)
