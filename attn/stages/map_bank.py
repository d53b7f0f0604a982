"""The maps of a training's videos, read once from their stores into memory, where all sampling happens.

fp16 as in a store: UCF101's take 4.8 GB. Where they do not fit, each worker of a training reads its share of the
videos, and what a worker lacks of an update's few hundred maps it gets from the others; where not even a share fits,
it is mapped from a file on this machine's disk.
"""

import dataclasses
import mmap
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from attn.errors import UsageError
from attn.schema import FRAME, MAPS, VIDEO_ID
from attn.stages.finite import check_finite
from attn.stages.video_table import VideoTable
from attn.storage.parts import PartVideos
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_values

MOST_READERS = 8
"""Threads that read parts side by side, at most."""


@dataclasses.dataclass(frozen=True)
class MapBank:
    """Maps of all classes of the frames of some videos.

    Attributes:
        maps: raw, flattened; rows in the order of the table.
        table: the videos.
    """

    maps: Float16[Tensor, "frame cls cell"]
    table: VideoTable

    def select(self, rows: Int[Tensor, "*sample"], classes: Int[Tensor, "*sample"]) -> Float[Tensor, "*sample cell"]:
        """Single maps, in float32."""
        num_classes, cells = self.maps.shape[1:]
        places = (rows * num_classes + classes).flatten()
        return self.maps.view(-1, cells).index_select(0, places).float().view(*rows.shape, cells)


def bank_bytes(store: AttentionStore, rows: int) -> int:
    """Memory of the maps of so many frames."""
    height, width = store.manifest.map_shape
    return rows * len(store.manifest.class_names) * height * width * 2


def read_bank(
    stores: Sequence[AttentionStore], table: VideoTable, *, threads: int, most_bytes: int | None = None
) -> MapBank:
    """Reads the maps of the videos of a table; the parts are read side by side.

    Args:
        stores: one at least, with maps of one kind; together they have the videos, each in one of them, with as many
            frames.
        table: whose order the rows get.
        threads: that read and unpack; both let go of the interpreter.
        most_bytes: what does not fit is mapped from a file in the temporary folder, unnamed and gone with the process.
            Default: no limit.

    Raises:
        UsageError: a part is damaged; a map holds NaN or infinity; no room for the file; the stores lack videos or
            frames of the table.
    """
    _check_held(stores, table)
    manifest = stores[0].manifest
    height, width = manifest.map_shape
    shape = (table.rows, len(manifest.class_names), height * width)
    fits = most_bytes is None or bank_bytes(stores[0], table.rows) <= most_bytes
    maps = np.empty(shape, np.float16) if fits else _on_disk(shape)
    first_row = dict(zip(table.video_ids, table.first_row.tolist(), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        parts = [(store, part) for store in stores for part in store.parts]
        for _ in pool.map(lambda held: _read_part(held[0], held[1], first_row, maps), parts):
            pass
    return MapBank(torch.from_numpy(maps), table)


def _on_disk(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape)) * 2
    with tempfile.TemporaryFile(prefix="attn-maps-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        except OSError as error:
            folder = tempfile.gettempdir()
            raise UsageError(
                f"{folder}: {error.strerror}; the maps need {size / 1e9:.1f} GB there, set TMPDIR to a larger disk, "
                "or give more --workers or more --map-memory-gb"
            ) from error
        memory = mmap.mmap(file.fileno(), max(size, 1))
        memory.madvise(mmap.MADV_RANDOM)  # else every map that is read brings the 128 KB around it
        return np.frombuffer(memory, np.float16, count=size // 2).reshape(shape)


def _read_part(store: AttentionStore, part: PartVideos, first_row: dict[str, int], maps: np.ndarray) -> None:
    """Copies the wanted videos of a part to their places."""
    wanted = {video_id: count for video_id, count in part.rows.items() if video_id in first_row}
    if not wanted:
        return
    field = store.manifest.schema.field(MAPS)
    place = {video_id: first_row[video_id] for video_id in wanted}
    for rows in store.runs(PartVideos(part.path, wanted), [VIDEO_ID, FRAME, MAPS]):
        video_id, found = rows[VIDEO_ID][0].as_py(), tensor_values(rows[MAPS], field)
        check_finite(store.url, video_id, rows[FRAME].to_numpy(), MAPS, found)
        maps[place[video_id] : place[video_id] + len(found)] = found.reshape(len(found), *maps.shape[1:])
        place[video_id] += len(found)


def _check_held(stores: Sequence[AttentionStore], table: VideoTable) -> None:
    """Each video fills its rows, no more and no less: else a neighbour's, or what no one wrote, would pass for maps."""
    held = Counter[str]()
    for store in stores:
        for part in store.parts:
            held.update(part.rows)
    for video_id, count in zip(table.video_ids, table.num_frames.tolist(), strict=True):
        if held[video_id] != count:
            where = " and ".join(store.url for store in stores)
            raise UsageError(
                f"{where}: {held[video_id]} frames of {video_id}, not the {count} that this training was planned "
                "with; a store was changed, or this machine sees another: start the training again"
            )
