"""Status of a running training: written by the first worker, read by the driver through a small actor.

Lines that workers print would reach the user through Ray, with process IDs, twice or late.
"""

import dataclasses
import time
from typing import Any

import ray
from ray.exceptions import RayError

NOTE_EVERY_S = 5.0
READ_TIMEOUT_S = 5.0

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


class RemoteStatus:
    """Status of a training with Ray Train workers, stored in an actor that needs no CPU."""

    def __init__(self) -> None:
        self.actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(LocalStatus).remote()

    def update(self, **changes: Any) -> None:
        """Replace fields of the status, without waiting."""
        self.actor.update.remote(**changes)

    def read(self) -> Status:
        """Return the status; an empty one if the actor was lost with its node, which must not end a training."""
        try:
            status: Status = ray.get(self.actor.read.remote(), timeout=READ_TIMEOUT_S)
        except RayError:
            return Status()
        return status


class StatusWriter:
    """Writer of one worker to the status; only the first worker writes, without waiting.

    Args:
        status: status to write to; None to write nothing.
        rank: number of the worker among all workers.
    """

    def __init__(self, status: LocalStatus | RemoteStatus | None, *, rank: int):
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
