"""In-memory bank of the maps of training videos, read once from attention stores.

Maps are fp16, as in the stores; UCF101's take 4.8 GB. If they do not fit into memory, each worker reads its share of
the videos and exchanges the few hundred maps of an update with the other workers. If even a share does not fit, it is
memory-mapped from a file on the local disk.
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
from attn.storage.parts import PartVideos
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_values
from attn.training.video_table import VideoTable

MOST_READERS = 8
"""Maximum number of threads that read parts in parallel."""


@dataclasses.dataclass(frozen=True)
class MapBank:
    """Maps of all classes for the frames of selected videos.

    Attributes:
        maps: raw flattened maps; rows are in the order of the table.
        table: table of the videos.
    """

    maps: Float16[Tensor, "frame cls cell"]
    table: VideoTable

    def select(self, rows: Int[Tensor, "*sample"], classes: Int[Tensor, "*sample"]) -> Float[Tensor, "*sample cell"]:
        """Select single maps, in float32."""
        num_classes, cells = self.maps.shape[1:]
        places = (rows * num_classes + classes).flatten()
        return self.maps.view(-1, cells).index_select(0, places).float().view(*rows.shape, cells)


def bank_bytes(store: AttentionStore, rows: int) -> int:
    """Memory of the maps of `rows` frames, in bytes."""
    height, width = store.manifest.map_shape
    return rows * len(store.manifest.class_names) * height * width * 2


def read_bank(
    stores: Sequence[AttentionStore], table: VideoTable, *, threads: int, most_bytes: int | None = None
) -> MapBank:
    """Read the maps of a table's videos; parts are read in parallel.

    Args:
        stores: at least one store, all with maps of one kind. Each video of the table is in exactly one of them, with
            the number of frames given in the table.
        table: table of the videos, which determines the order of the rows.
        threads: number of threads that read and decompress; both release the GIL.
        most_bytes: size limit for maps in memory. Larger maps are memory-mapped from an unnamed file in the temporary
            folder, which is removed with the process. Default: unlimited.

    Raises:
        UsageError: a part is damaged, a map contains NaN or infinity, the disk has too little space for the file, or
            the stores lack videos or frames of the table.
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
                f"{folder}: {error.strerror}, but the maps need {size / 1e9:.1f} GB. Set TMPDIR to a larger disk, or "
                "raise --workers or --map-memory-gb."
            ) from error
        memory = mmap.mmap(file.fileno(), max(size, 1))
        memory.madvise(mmap.MADV_RANDOM)  # by default, reading one map loads the 128 KB around it
        return np.frombuffer(memory, np.float16, count=size // 2).reshape(shape)


def _read_part(store: AttentionStore, part: PartVideos, first_row: dict[str, int], maps: np.ndarray) -> None:
    """Copy the maps of a part's selected videos to their rows."""
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
