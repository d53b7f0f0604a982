"""Bank of one column of stores for the videos of a training, read once.

A bank is in memory, on a device, or mapped from a file on the local disk. All columns except logits and flow are fp16:
UCF101's maps take 4.8 GB, GoogLeNet's activations (`grid`) 100 KB per frame. If a column does not fit into the memory
of a worker, each worker reads its share of the videos (`VideoTable.share`), or all workers of a machine map one file.
"""

import dataclasses
import hashlib
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from attn.errors import UsageError
from attn.schema import FRAME, GRID, VIDEO_ID
from attn.stages.finite import check_finite
from attn.storage.filesystem import storage_errors
from attn.storage.parts import PartVideos
from attn.storage.store import Store
from attn.storage.tensors import tensor_shape, tensor_values
from attn.training.array_cache import Array, Layout, cache_array
from attn.training.video_table import VideoTable

VALUES = "values.bin"
DEVICE_SHARE = 0.8  # share of the device's free memory
AnyStore = Store[Any]

READERS = min(8, os.cpu_count() or 1)
"""Number of threads that read parts, for a few seconds more than the worker's CPUs."""


@dataclasses.dataclass(frozen=True)
class Bank:
    """Values of a column for the frames of selected videos.

    Attributes:
        values: values as in the stores; rows are in the order of the table.
        table: table of the videos.
    """

    values: Shaped[Tensor, "frame *shape"]
    table: VideoTable

    @classmethod
    def of(cls, values: Shaped[np.ndarray, "frame *shape"], table: VideoTable) -> "Bank":
        """Bank of an array, without copying it; the array may be read-only, because a bank is never written."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return cls(torch.from_numpy(values), table)

    def select(self, rows: Int[Tensor, "*sample"], device: torch.device | None = None) -> Float[Tensor, "..."]:
        """Select frames [*sample, *shape], in float32.

        Args:
            rows: rows of the bank, in any shape: single frames, or windows of frames [window, step].
            device: device of the result. Default: that of the bank.
        """
        return _gather(self.values, rows, device)


def select_maps(
    bank: Bank, rows: Int[Tensor, "*sample"], classes: Int[Tensor, "*sample"], device: torch.device | None = None
) -> Float[Tensor, "*sample cell"]:
    """Select single flattened maps from a bank of maps [frame, cls, row, col], in float32.

    Args:
        bank: bank of maps.
        rows: row of each map.
        classes: class of each map.
        device: device of the result. Default: that of the bank.
    """
    maps = bank.values.flatten(2)
    return _gather(maps.flatten(0, 1), rows * maps.shape[1] + classes, device)


def _gather(
    values: Shaped[Tensor, "row *shape"], rows: Int[Tensor, "*sample"], device: torch.device | None
) -> Float[Tensor, "..."]:
    found = values.index_select(0, rows.flatten().to(values.device))
    return found.to(device or values.device).float().view(rows.shape + values.shape[1:])  # fp16 travels faster


def bank_bytes(store: AnyStore, column: str, rows: int) -> int:
    """Memory of a column of `rows` frames, in bytes."""
    return _layout(store, column, rows).num_bytes


def read_bank(
    stores: Sequence[AnyStore],
    table: VideoTable,
    column: str,
    *,
    threads: int = READERS,
    most_bytes: int | None = None,
    cache: Path | None = None,
) -> Bank:
    """Read a column of a table's videos; parts are read in parallel.

    Args:
        stores: at least one store. Each video of the table is in exactly one of them, with the number of frames given
            in the table.
        table: table of the videos, which determines the order of the rows.
        column: tensor column, such as maps, features or flow.
        threads: number of threads that read and decompress; both release the GIL.
        most_bytes: size limit for values in memory. Larger ones are memory-mapped from an unnamed file in the temporary
            folder, which the system removes with the process, however it ends. Default: unlimited.
        cache: folder for caches, on a local disk, from which all processes of a machine map one copy; the first one
            that needs it reads the stores, see `cache_array`. `most_bytes` does not apply.

    Raises:
        UsageError: a store lacks the column or holds another shape of it, a part is damaged, a value is NaN or
            infinity, the disk has too little space, or the stores lack videos or frames of the table.
    """
    _check_alike(stores, column)
    _check_held(stores, table)
    layout, parts = _layout(stores[0], column, table.rows), _wanted(stores, table)

    def fill(values: Array) -> dict[str, Any]:
        first_row = dict(zip(table.video_ids, table.first_row.tolist(), strict=True))
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda held: _read_part(held, column, first_row, values), parts):
                pass
        return {"column": column, "shape": layout.shape, "stores": [store.url for store in stores]}

    if cache is not None:
        return Bank.of(cache_array(cache / _key(parts, table, column) / VALUES, layout, fill).values, table)
    fits = most_bytes is None or layout.num_bytes <= most_bytes
    values = np.empty(layout.shape, layout.dtype) if fits else _unnamed(layout, column)
    fill(values)
    return Bank.of(values, table)


def on_device(bank: Bank, device: torch.device, gpus: float = 1.0, *, reserved: int = 0) -> Bank:
    """Move the values to the device of the network if they fit.

    Args:
        bank: bank.
        device: device of the network.
        gpus: share of the GPU that this training may use. Below 1 it applies to all memory, because trainings that
            start at the same time all see an empty GPU.
        reserved: memory that an update needs, in bytes.
    """
    if device.type != "cuda":
        return bank
    torch.cuda.empty_cache()  # memory of an earlier training in this process
    free, total = torch.cuda.mem_get_info(device)
    room = DEVICE_SHARE * (free if gpus >= 1 else gpus * total) - reserved
    return dataclasses.replace(bank, values=bank.values.to(device)) if bank.values.nbytes <= room else bank


Held = tuple[AnyStore, PartVideos]
"""A part of a store, limited to the videos of a table."""


def _layout(store: AnyStore, column: str, rows: int) -> Layout:
    field = store.manifest.schema.field(column)
    # Single maps, features and logits are small; activations are read whole.
    return Layout((rows, *tensor_shape(field)), field.type.value_type.to_pandas_dtype(), in_pieces=column != GRID)


def _wanted(stores: Sequence[AnyStore], table: VideoTable) -> list[Held]:
    ids = set(table.video_ids)
    parts = [
        (store, PartVideos(part.path, {video_id: count for video_id, count in part.rows.items() if video_id in ids}))
        for store in stores
        for part in store.parts
    ]
    return [(store, part) for store, part in parts if part.rows]


def _key(parts: Sequence[Held], table: VideoTable, column: str) -> str:
    """Name of the cache, which depends on videos and parts; the content of a part never changes."""
    lines = sorted(f"{store.url}\t{part.path}\t{sorted(part.rows.items())}" for store, part in parts)
    named = hashlib.sha256("\n".join((*table.video_ids, *lines)).encode()).hexdigest()
    return f"{column}-{named[:16]}"


def _unnamed(layout: Layout, column: str) -> Array:
    """Array in a file without a name, so that nothing is left behind if the process is killed."""
    try:
        with tempfile.TemporaryFile(prefix="attn-bank-") as file:
            return layout.reserve(file)
    except OSError as error:
        raise UsageError(
            f"{tempfile.gettempdir()}: {error.strerror}, but column {column} needs {layout.num_bytes / 1e9:.1f} GB. "
            "Set TMPDIR to a larger disk, or give more memory or --workers."
        ) from error


def _read_part(held: Held, column: str, first_row: dict[str, int], values: Array) -> None:
    """Copy a part's videos to their rows."""
    store, part = held
    field = store.manifest.schema.field(column)
    place = {video_id: first_row[video_id] for video_id in part.rows}
    with storage_errors(store.url):
        for rows in store.runs(part, [VIDEO_ID, FRAME, column]):
            video_id, found = rows[VIDEO_ID][0].as_py(), tensor_values(rows[column], field)
            check_finite(store.url, video_id, rows[FRAME].to_numpy(), column, found)
            values[place[video_id] : place[video_id] + len(found)] = found
            place[video_id] += len(found)


def _check_alike(stores: Sequence[AnyStore], column: str) -> None:
    """Check that all stores have the column, in one shape and type."""
    for store in stores:
        store.check_columns([column])
        here, there = (tensor_shape(one.manifest.schema.field(column)) for one in (store, stores[0]))
        if here != there:
            raise UsageError(
                f"{store.url}: {column} of shape {list(here)}, unlike {list(there)} in {stores[0].url}. Give stores "
                "that were precomputed with the same settings."
            )


def _check_held(stores: Sequence[AnyStore], table: VideoTable) -> None:
    """Check that each video fills exactly its rows; otherwise rows would be overwritten or uninitialised."""
    held = Counter[str]()
    for store in stores:
        for part in store.parts:
            held.update(part.rows)
    for video_id, count in zip(table.video_ids, table.num_frames.tolist(), strict=True):
        if held[video_id] != count:
            where = " and ".join(store.url for store in stores)
            raise UsageError(
                f"{where}: {held[video_id]} frames of {video_id} instead of {count} as planned, because a store has "
                "changed or differs between machines. Start the training again."
            )
