"""Maps shared by many trainings: read once into Ray's object store and used without copying.

Each machine holds one copy for all trainings that run there. The maps are read by a task instead of the driver, so that
Ray can run the task again if the machine that holds them is lost.
"""

import dataclasses
import math
import os
import warnings
from typing import Any

import numpy as np
import ray
import torch

from attn.engine.placement import living_nodes, may_grow
from attn.errors import UsageError
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore
from attn.training.energy_training import TrainingMaps
from attn.training.energynet_job import EnergyJob
from attn.training.map_bank import MOST_READERS, MapBank, read_bank
from attn.training.peers import Alone
from attn.training.video_table import VideoTable


@dataclasses.dataclass(frozen=True)
class SharedMaps:
    """References to the maps of a training's videos, in the order of its tables.

    Attributes:
        train: reference to the maps of the training videos.
        held_out: reference to the maps of the held-out videos.
        squares: sum of the squares of all values of the training maps, and the number of values.
        windows: sum of squares and count of their window energies, see `TrainingMaps.window_squares`.
    """

    train: Any
    held_out: Any
    squares: tuple[float, int]
    windows: tuple[float, int]

    def banks(self, job: EnergyJob, rank: int = 0, size: int = 1) -> tuple[MapBank, MapBank]:
        """Return the training maps and one worker's share of the held-out maps, read-only.

        Args:
            job: training with the tables of the videos.
            rank: number of the worker among all workers.
            size: number of workers.

        Raises:
            UsageError: the maps were lost with their machine and cannot be read again.
        """
        train, held_out = ray.get([self.train, self.held_out])
        if train is None or held_out is None:
            urls = " + ".join(job.store_urls)
            raise UsageError(f"{urls}: the maps were lost with a machine and cannot be read again. Check the store.")
        share, first = job.held_out.share(rank, size)
        return _bank(train, job.train), _bank(held_out[first : first + share.rows], share)


def share_maps(job: EnergyJob) -> SharedMaps:
    """Read the maps into the object store of one machine, and wait until this is done.

    Raises:
        UsageError: no machine has enough memory; a store cannot be read, or its maps are invalid.
    """
    _check_room(job)
    read: Any = ray.remote(num_cpus=1, num_returns=3, max_retries=3)(_read)
    train, held_out, sums_or_error = read.remote(job)
    sums: Any = ray.get(sums_or_error)
    if isinstance(sums, str):
        raise UsageError(sums)
    return SharedMaps(train, held_out, *sums)


Squares = tuple[float, int]


def _read(job: EnergyJob) -> tuple[np.ndarray | None, np.ndarray | None, tuple[Squares, Squares] | str]:
    """Return training maps, held-out maps and the sums for `SharedMaps`; or None, None and an error message."""
    threads = min(MOST_READERS, os.cpu_count() or 1)
    try:
        with storage_errors(" + ".join(job.store_urls)):
            stores = [AttentionStore.open(url, allow_partial=job.options.allow_partial) for url in job.store_urls]
            train, held_out = (read_bank(stores, table, threads=threads) for table in (job.train, job.held_out))
    except UsageError as error:
        return None, None, str(error)
    maps = TrainingMaps(train, torch.device("cpu"))
    sums = maps.sum_of_squares(Alone()), maps.window_squares(Alone(), job.map_shape, job.window)
    return train.maps.numpy(), held_out.maps.numpy(), sums


def _bank(maps: np.ndarray, table: VideoTable) -> MapBank:
    with warnings.catch_warnings():
        # Memory of the object store is read-only, and the maps are never written.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return MapBank(torch.from_numpy(maps), table)


def _check_room(job: EnergyJob) -> None:
    """Check that one machine can hold the maps; skipped if an autoscaler may start larger machines."""
    if may_grow():
        return
    rows = job.train.rows + job.held_out.rows
    needed = 2 * rows * len(job.concepts.vectors) * math.prod(job.map_shape)
    room = max((node.get("object_store_memory", 0) for node in living_nodes()), default=0)
    if needed > room:
        raise UsageError(
            f"{' + '.join(job.store_urls)}: the maps need {needed / 1e9:.1f} GB of Ray's object store, but the largest "
            f"machine has {room / 1e9:.1f} GB. Use a larger machine, start Ray with a larger --object-store-memory, or "
            "give a smaller --fraction."
        )
