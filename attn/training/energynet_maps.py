"""Maps of an EnergyNet's training on one worker: read from the stores, or shared by many trainings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from attn.errors import UsageError
from attn.memory import available_bytes
from attn.schema import MAPS
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore
from attn.training.bank import Bank, bank_bytes, on_device, read_bank
from attn.training.energy_training import TrainingMaps
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_learner import EnergyLearner
from attn.training.group import Group
from attn.training.loop import Progress
from attn.training.peers import Alone
from attn.training.storage import check_storage

Value = TypeVar("Value")

MEMORY_SHARE = 0.5  # share of the machine's available memory

Squares = tuple[float, int]
"""Sum of the squares of some values, and their number."""


class HeldMaps(Protocol):
    """Maps held in memory for many trainings, see `attn.engine.train.shared_bank.SharedBank`."""

    @property
    def known(self) -> tuple[Squares, Squares]:
        """Result of `map_squares`."""
        ...

    def banks(self, job: EnergyJob, rank: int = 0, size: int = 1) -> tuple[Bank, Bank]:
        """Return the training maps and one worker's share of the held-out maps."""
        ...


@contextmanager
def energy_learner(
    job: EnergyJob, group: Group, status: Progress, *, maps: HeldMaps | None = None, gpus: float = 1.0
) -> Iterator[EnergyLearner | UsageError]:
    """Read the maps; yield the learner, or the error for the user.

    Args:
        job: training.
        group: this worker and its group.
        status: receiver of the progress.
        maps: maps in the object store of this machine; None to read the stores of the job.
        gpus: share of the GPU that this training may use.
    """
    status.update(skipped={}, note="reading maps")
    found, refusal = _read(job, group) if maps is None else (_of_shared(job, maps, group, gpus), None)
    yield UsageError(refusal) if found is None else EnergyLearner(job, *found, group, status.note)


Maps = tuple[TrainingMaps, Bank]
"""Training maps, and this worker's share of the held-out maps."""


def _read(job: EnergyJob, group: Group) -> tuple[Maps | None, str | None]:
    """Return all maps, or this worker's share if they do not fit, and the error of any worker."""
    opened, refusal = _attempt(job, lambda: _open(job, group))
    fits = opened is not None and bank_bytes(opened[0][0], MAPS, job.train.rows) <= opened[1]
    answers = group.gather((refusal, fits))
    refusal = next((text for text, _ in answers if text), None)
    if opened is None or refusal is not None:
        return None, refusal
    shared = group.size > 1 and not all(fits for _, fits in answers)
    found, refusal = _attempt(job, lambda: _fetch(job, *opened, group, shared=shared))
    refusal = next((text for text in group.gather(refusal) if text), None)
    return (found, None) if refusal is None else (None, refusal)


def _attempt(job: EnergyJob, step: Callable[[], Value]) -> tuple[Value | None, str | None]:
    """Return the result of a step and None, or None and the error message for the other workers.

    Errors of the storage are included, because Ray would retry them and end with a traceback.
    """
    try:
        with storage_errors(" + ".join(job.store_urls)):
            return step(), None
    except UsageError as error:
        return None, str(error)


def _open(job: EnergyJob, group: Group) -> tuple[list[AttentionStore], int]:
    """Open the stores; return them with the number of bytes that this worker may use for training maps."""
    check_storage(job.run_url)
    stores = job.open_stores()
    held_out, _ = job.held_out.share(group.rank, group.size)
    given_gb = job.options.map_memory_gb
    room = int(given_gb * 1e9) if given_gb is not None else int(available_bytes() * MEMORY_SHARE / group.local_size)
    return stores, max(room - bank_bytes(stores[0], MAPS, held_out.rows), 0)


def _fetch(job: EnergyJob, stores: list[AttentionStore], room: int, group: Group, *, shared: bool) -> Maps:
    held_out, _ = job.held_out.share(group.rank, group.size)
    table, first_row = job.train.share(group.rank, group.size) if shared else (job.train, 0)
    bank = on_device(read_bank(stores, table, MAPS, most_bytes=room), group.device)
    validation = read_bank(stores, held_out, MAPS, most_bytes=room)
    return TrainingMaps(bank, group.device, first_row, group if shared else None), validation


def _of_shared(job: EnergyJob, shared: HeldMaps, group: Group, gpus: float) -> Maps:
    """Return the maps in this machine's object store, shared by all its workers."""
    bank, validation = shared.banks(job, group.rank, group.size)
    placed, (squares, windows) = on_device(bank, group.device, gpus), shared.known
    return TrainingMaps(placed, group.device, known_squares=squares, known_windows=windows), validation


def map_squares(bank: Bank, job: EnergyJob) -> tuple[Squares, Squares]:
    """Squares of all maps and of their window energies, computed once for many trainings.

    See `TrainingMaps.sum_of_squares` and `window_squares`.
    """
    maps = TrainingMaps(bank, bank.values.device)
    return maps.sum_of_squares(Alone()), maps.window_squares(Alone(), job.window)
