"""What a user sees of a training: a log line per row of metrics, a line now and then in between, metrics in files."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

import ray

from attn.engine.training.events import EventFile
from attn.engine.training.run import TrainRun
from attn.engine.training.status import LocalStatus, RemoteStatus, Row, Status
from attn.stages.untrained import signs_to_tell

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
SILENCE_S = 20.0
SKIPPED_SHOWN = 5


class TrainWatch:
    """Reads the status while the body of its `with` runs.

    Args:
        status: where the workers pin news.
        run: whose metrics are written.
        unit: what a row is for, `epoch` or `update`; the row holds its number under that name, counted from 1.
        total: number of the last one.
        line: what the log says of the last of some rows.
        need: what the workers were promised, for the line that says that they wait for it.
    """

    def __init__(
        self,
        status: LocalStatus | RemoteStatus,
        run: TrainRun,
        *,
        unit: str,
        total: int,
        line: Callable[[Sequence[Row]], str],
        need: str,
    ):
        self._status, self._run, self._need = status, run, need
        self._unit, self._total, self._line = unit, total, line
        self._rows = run.metrics()
        self._started_s = 0.0
        self._skipped_told = False
        self._warned = set[str]()
        self._note, self._told_s = "", time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="train-watch", daemon=True)
        self._events = EventFile(run.url)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Exception):
            self.report(self._status.read())
        with contextlib.suppress(Exception):
            self._events.close()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.report(self._status.read())
            except Exception as error:  # what is shown must never end a training
                log.warning("cannot write the metrics: %s", error)

    def report(self, news: Status) -> None:
        """Logs and writes what is new."""
        if news.skipped is not None and not self._skipped_told:
            self._skipped_told = True
            self._tell_skipped(news.skipped)
        if news.started_s not in (0, self._started_s):  # 0: the status itself was lost, and no one has pinned yet
            self._tell_start(news)
        told = len(self._rows)
        if len(news.rows) > told:
            self._rows = news.rows
            self._run.write_metrics(self._rows)
        for count in range(told + 1, len(self._rows) + 1):
            self._tell_row(self._rows[:count])
        if time.monotonic() - self._told_s >= SILENCE_S and not self._stop.is_set():
            self._say(news.note if news.note not in ("", self._note) else self._waiting(news))
            self._note = news.note

    def _tell_skipped(self, skipped: dict[str, str]) -> None:
        if skipped:
            some = list(skipped.values())[:SKIPPED_SHOWN]
            more = f" and {len(skipped) - len(some)} more" if len(skipped) > len(some) else ""
            self._say(f"{len(skipped)} images are skipped: {'; '.join(some)}{more}")

    def _tell_start(self, news: Status) -> None:
        lost = "workers were lost; " if self._started_s else ""
        self._started_s = news.started_s
        for line in news.damaged:
            log.warning("%s; the state before it is taken", line)
        if lost or news.resumed:
            done = news.rows[news.resumed - 1][self._unit] if news.resumed else 0
            self._say(f"{lost}resuming after {self._unit} {done} of {self._total}")
        # What was told but whose state was not kept in time is done again.
        self._rows = self._rows[: news.resumed]

    def _tell_row(self, rows: Sequence[Row]) -> None:
        row = rows[-1]
        self._say(f"{self._unit} {row[self._unit]}/{self._total}: {self._line(rows)}")
        for kind, text in signs_to_tell(rows, self._warned).items():
            self._warned.add(kind)
            log.warning("%s %s: %s", self._unit, row[self._unit], text)
        self._events.add({name: value for name, value in row.items() if name != self._unit}, step=row[self._unit])

    def _waiting(self, news: Status) -> str:
        if news.skipped is not None or news.rows or news.note or isinstance(self._status, LocalStatus):
            return "waiting for the workers"
        free = ray.available_resources()
        return f"starting {self._need} ({free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU are free now)"

    def _say(self, text: str) -> None:
        self._told_s = time.monotonic()
        log.info("%s", text)
