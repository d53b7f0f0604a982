"""Status of a running training: written by the first worker, read by the driver."""

import dataclasses
import time
from typing import Any, Protocol

NOTE_EVERY_S = 5.0

Row = dict[str, Any]


@dataclasses.dataclass
class Status:
    """Status of a training.

    Attributes:
        rows: metrics of all validations, one row each, including those before a resume.
        started_s: time of the last start of the workers, in seconds since 1970; 0 before the first start.
        resumed: number of rows at that time.
        skipped: image → reason why it is not used; None before the images are prepared.
        damaged: one line for each damaged or incomplete checkpoint that was skipped.
        note: current activity.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    started_s: float = 0.0
    resumed: int = 0
    skipped: dict[str, str] | None = None
    damaged: tuple[str, ...] = ()
    note: str = ""


class LocalStatus:
    """Status of a training whose only worker is the driver process."""

    def __init__(self) -> None:
        self._current = Status()

    def update(self, **changes: Any) -> None:
        """Replace fields of the status."""
        self._current = dataclasses.replace(self._current, **changes)

    def read(self) -> Status:
        """Return the status."""
        return self._current


class StatusStore(Protocol):
    """Place of a status: this process, or an actor of Ray."""

    def update(self, **changes: Any) -> None:
        """Replace fields of the status."""
        ...


class StatusWriter:
    """Writer of one worker to the status; only the first worker writes, without waiting.

    Args:
        status: status to write to; None to write nothing.
        rank: number of the worker among all workers.
    """

    def __init__(self, status: StatusStore | None, *, rank: int):
        self._status = status if rank == 0 else None
        self._noted_s = 0.0

    def note(self, text: str) -> None:
        """Report the current activity, at most every few seconds."""
        if time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self._noted_s = time.monotonic()
            self.update(note=text)

    def update(self, **changes: Any) -> None:
        """Replace fields of `Status`."""
        if self._status is not None:
            self._status.update(**changes)
