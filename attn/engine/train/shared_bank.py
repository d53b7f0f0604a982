"""Banks shared by many trainings: read once into Ray's object store and used without copying.

Each machine holds one copy for all trainings that run there. The stores are read by a task instead of the driver, so
that Ray can run the task again if the machine that holds the banks is lost.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import ray

from attn.engine.placement import living_nodes, may_grow
from attn.errors import UsageError
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore
from attn.training.bank import Bank, bank_bytes, read_bank
from attn.training.video_table import VideoTable


class BankJob(Protocol):
    """Training on a column of attention stores, as plain data.

    Attributes:
        store_urls: URLs of the stores.
        train: training videos.
        held_out: videos for validation.
    """

    @property
    def store_urls(self) -> Sequence[str]: ...
    @property
    def train(self) -> VideoTable: ...
    @property
    def held_out(self) -> VideoTable: ...

    def open_stores(self) -> list[AttentionStore]:
        """Open the stores."""
        ...


Job = TypeVar("Job", bound=BankJob)


@dataclasses.dataclass(frozen=True)
class SharedBank:
    """References to the values of a training's videos, in the order of its tables.

    Attributes:
        column: column of the stores.
        train: reference to the values of the training videos.
        held_out: reference to the values of the held-out videos.
        known: result of the function given to `share_bank`.
    """

    column: str
    train: Any
    held_out: Any
    known: Any

    def banks(self, job: BankJob, rank: int = 0, size: int = 1) -> tuple[Bank, Bank]:
        """Return the training videos and one worker's share of the held-out videos, read-only.

        Args:
            job: training with the tables of the videos.
            rank: number of the worker among all workers.
            size: number of workers.

        Raises:
            UsageError: the values were lost with their machine and cannot be read again.
        """
        train, held_out = ray.get([self.train, self.held_out])
        if train is None or held_out is None:
            raise UsageError(
                f"{_urls(job)}: the bank of {self.column} was lost with a machine and cannot be read again. Check the "
                "store."
            )
        share, first = job.held_out.share(rank, size)
        return Bank.of(train, job.train), Bank.of(held_out[first : first + share.rows], share)


def share_bank(job: Job, column: str, measure: Callable[[Bank, Job], Any] = lambda bank, job: None) -> SharedBank:
    """Read a column into the object store of one machine, and wait until this is done.

    Args:
        job: training.
        column: column of the stores.
        measure: function of the training videos that is evaluated once for all trainings.

    Raises:
        UsageError: no machine has enough memory; a store cannot be read, or its values are invalid.
    """
    _check_room(job, column)
    read: Any = ray.remote(num_cpus=1, num_returns=3, max_retries=3)(_read)
    train, held_out, known_or_error = read.remote(job, column, measure)
    known: Any = ray.get(known_or_error)
    if isinstance(known, UsageError):
        raise known
    return SharedBank(column, train, held_out, known)


def _read(
    job: Job, column: str, measure: Callable[[Bank, Job], Any]
) -> tuple[np.ndarray | None, np.ndarray | None, Any]:
    """Return the values of both tables and the result of `measure`; or None, None and the error."""
    try:
        with storage_errors(_urls(job)):
            stores = job.open_stores()
            train, held_out = (read_bank(stores, table, column) for table in (job.train, job.held_out))
    except UsageError as error:
        return None, None, UsageError(str(error))  # without its cause, which may not be picklable
    return train.values.numpy(), held_out.values.numpy(), measure(train, job)


def _check_room(job: BankJob, column: str) -> None:
    """Check that one machine can hold the values; skipped if an autoscaler may start larger machines."""
    if may_grow():
        return
    with storage_errors(_urls(job)):
        needed = bank_bytes(job.open_stores()[0], column, job.train.rows + job.held_out.rows)
    room = max((node.get("object_store_memory", 0) for node in living_nodes()), default=0)
    if needed > room:
        raise UsageError(
            f"{_urls(job)}: the bank of {column} needs {needed / 1e9:.1f} GB of Ray's object store, but the largest "
            f"machine has {room / 1e9:.1f} GB. Use a larger machine, start Ray with a larger --object-store-memory, or "
            "give a smaller --fraction."
        )


def _urls(job: BankJob) -> str:
    return " + ".join(job.store_urls)
