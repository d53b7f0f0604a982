"""What the workers of a training tell the driver: a small actor where they pin news and the driver reads them.

Ray's own way, the workers' printed lines, reaches the user behind process numbers, twice, or late.
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
    """The latest state of a training.

    Attributes:
        rows: metrics, one row per finished epoch (or other unit), from the first on: a worker that resumes pins all.
        started_s: when the workers last started, in seconds since 1970; 0 until they have.
        resumed: rows that were there by then.
        skipped: image → why it cannot be read; None before that is known.
        damaged: a line for each kept state that could not be gone on from.
        note: what is being done right now.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    started_s: float = 0.0
    resumed: int = 0
    skipped: dict[str, str] | None = None
    damaged: tuple[str, ...] = ()
    note: str = ""


class LocalStatus:
    """Latest state of a training whose worker is the driver itself."""

    def __init__(self) -> None:
        self._news = Status()

    def update(self, **changes: Any) -> None:
        """Replace fields of the state."""
        self._news = dataclasses.replace(self._news, **changes)

    def read(self) -> Status:
        """Return the state."""
        return self._news


class RemoteStatus:
    """Latest state of a training whose workers run elsewhere, in an actor that needs no CPU."""

    def __init__(self) -> None:
        self.actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(LocalStatus).remote()

    def update(self, **changes: Any) -> None:
        """Replace fields of the state, without waiting."""
        self.actor.update.remote(**changes)

    def read(self) -> Status:
        """Return the state; an empty one if the actor was lost with its node, which must not end a training."""
        try:
            news: Status = ray.get(self.actor.read.remote(), timeout=READ_TIMEOUT_S)
        except RayError:
            return Status()
        return news


class StatusWriter:
    """A worker's way to the status; only the first of all workers writes, and waits for nothing."""

    def __init__(self, status: LocalStatus | RemoteStatus | None, *, rank: int):
        self._status = status if rank == 0 else None
        self._noted_s = 0.0

    def note(self, text: str) -> None:
        """What is being done, but not more often than every few seconds."""
        if time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self._noted_s = time.monotonic()
            self.update(note=text)

    def update(self, **changes: Any) -> None:
        """Fields of `Status`."""
        if self._status is not None:
            self._status.update(**changes)
