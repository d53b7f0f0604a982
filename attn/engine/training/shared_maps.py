"""Maps that many trainings learn from: read once, in Ray's object store, used where they lie.

Each machine gets one copy, which all trainings there see without copying. A task reads them, not the driver: where a
machine is lost with them, Ray reads them again.
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
from attn.engine.training.energynet_plan import EnergyJob
from attn.errors import UsageError
from attn.stages.energy_training import Alone, TrainingMaps
from attn.stages.map_bank import MOST_READERS, MapBank, read_bank
from attn.stages.video_table import VideoTable
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore


@dataclasses.dataclass(frozen=True)
class SharedMaps:
    """References to the maps of a training's videos, in the order of its tables.

    Attributes:
        train: of the videos that are learnt from.
        held_out: of the others.
        squares: sum of the squares of all training maps, and how many numbers they are: every training needs it.
        windows: the same of their window energies, see `TrainingMaps.window_squares`.
    """

    train: Any
    held_out: Any
    squares: tuple[float, int]
    windows: tuple[float, int]

    def banks(self, job: EnergyJob, rank: int = 0, size: int = 1) -> tuple[MapBank, MapBank]:
        """Training maps, and one worker's share of the held-out ones. Read only.

        Args:
            job: whose tables they are.
            rank, size: of the worker among all.

        Raises:
            UsageError: they were lost with their machine, and could not be read again.
        """
        train, held_out = ray.get([self.train, self.held_out])
        if train is None or held_out is None:
            raise UsageError(f"{' + '.join(job.store_urls)}: lost with its machine, and cannot be read again")
        share, first = job.held_out.share(rank, size)
        return _bank(train, job.train), _bank(held_out[first : first + share.rows], share)


def share_maps(job: EnergyJob) -> SharedMaps:
    """Reads the maps into the object store of some machine; returns when they are there.

    Raises:
        UsageError: no machine has room for them; a store cannot be read, or its maps are no good.
    """
    _check_room(job)
    read: Any = ray.remote(num_cpus=1, num_returns=3, max_retries=3)(_read)
    train, held_out, said = read.remote(job)
    sums: Any = ray.get(said)
    if isinstance(sums, str):
        raise UsageError(sums)
    return SharedMaps(train, held_out, *sums)


Squares = tuple[float, int]


def _read(job: EnergyJob) -> tuple[np.ndarray | None, np.ndarray | None, tuple[Squares, Squares] | str]:
    """Training maps, held-out maps, squares and those of windows; or why not."""
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
        # The object store's memory is read only, and no one here writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return MapBank(torch.from_numpy(maps), table)


def _check_room(job: EnergyJob) -> None:
    """Refuses maps that no machine can hold; nothing is known of machines that an autoscaler may start."""
    if may_grow():
        return
    rows = job.train.rows + job.held_out.rows
    needed = 2 * rows * len(job.concepts.vectors) * math.prod(job.map_shape)
    room = max((node.get("object_store_memory", 0) for node in living_nodes()), default=0)
    if needed > room:
        raise UsageError(
            f"the maps need {needed / 1e9:.1f} GB of Ray's object store, the largest machine has {room / 1e9:.1f} GB "
            "there; use a larger machine, or start Ray with more --object-store-memory, or give a smaller --fraction"
        )
