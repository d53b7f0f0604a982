"""Progress of a training for the user: log lines, `metrics.jsonl` and TensorBoard events."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

import ray

from attn.engine.train.remote_status import RemoteStatus
from attn.training.events import EventFile
from attn.training.run import TrainRun
from attn.training.status import LocalStatus, Row, Status
from attn.training.untrained import signs_to_tell

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
SILENCE_S = 20.0
SKIPPED_SHOWN = 5


class TrainWatch:
    """Thread that reports the status while the body of its `with` runs.

    Args:
        status: status of the training.
        run: training run to which the metrics are written.
        unit: `epoch` or `update`; also the column of a row that contains its number, counted from 1.
        total: number of epochs or updates.
        line: function that formats the log line of the last of some rows.
        need: resources of the workers, for the log line while they start.
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
        self._skipped_logged = False
        self._warned = set[str]()
        self._note, self._logged_s = "", time.monotonic()
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
            except Exception as error:  # an error in the progress report must not end the training
                log.warning("cannot write the metrics: %s", error)

    def report(self, status: Status) -> None:
        """Log and write everything that is new in the status."""
        if status.skipped is not None and not self._skipped_logged:
            self._skipped_logged = True
            self._log_skipped(status.skipped)
        if status.started_s not in (0, self._started_s):  # 0: the status was lost, and no worker has started since
            self._log_start(status)
        reported = len(self._rows)
        if len(status.rows) > reported:
            self._rows = status.rows
            self._run.write_metrics(self._rows)
        for count in range(reported + 1, len(self._rows) + 1):
            self._log_row(self._rows[:count])
        if time.monotonic() - self._logged_s >= SILENCE_S and not self._stop.is_set():
            self._log(status.note if status.note not in ("", self._note) else self._waiting(status))
            self._note = status.note

    def _log_skipped(self, skipped: dict[str, str]) -> None:
        if skipped:
            some = list(skipped.values())[:SKIPPED_SHOWN]
            more = f" and {len(skipped) - len(some)} more" if len(skipped) > len(some) else ""
            self._log(f"{len(skipped)} images are skipped: {'; '.join(some)}{more}")

    def _log_start(self, status: Status) -> None:
        lost = "workers were lost; " if self._started_s else ""
        self._started_s = status.started_s
        for line in status.damaged:
            log.warning("%s. Ignoring this checkpoint.", line)
        if lost or status.resumed:
            done = status.rows[status.resumed - 1][self._unit] if status.resumed else 0
            self._log(f"{lost}resuming after {self._unit} {done} of {self._total}")
        # Rows after the last checkpoint are computed and reported again.
        self._rows = self._rows[: status.resumed]

    def _log_row(self, rows: Sequence[Row]) -> None:
        row = rows[-1]
        self._log(f"{self._unit} {row[self._unit]}/{self._total}: {self._line(rows)}")
        for kind, text in signs_to_tell(rows, self._warned).items():
            self._warned.add(kind)
            log.warning("%s %s: %s", self._unit, row[self._unit], text)
        self._events.add({name: value for name, value in row.items() if name != self._unit}, step=row[self._unit])

    def _waiting(self, status: Status) -> str:
        if isinstance(self._status, LocalStatus):
            return f"still busy {self._need}"
        if status.skipped is not None or status.rows or status.note:
            return "waiting for the workers"
        free = ray.available_resources()
        return f"starting {self._need} ({free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU are free now)"

    def _log(self, text: str) -> None:
        self._logged_s = time.monotonic()
        log.info("%s", text)
