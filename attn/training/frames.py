"""Caches of frames or of their flow, copied from a store once per machine and read in every epoch."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attn.schema import IMAGE, VIDEO_ID
from attn.storage.filesystem import storage_errors
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore, FrameStore
from attn.storage.tensors import tensor_shape, tensor_values
from attn.training.array_cache import Array, Fill, Layout, cache_array
from attn.training.pixels import ImageCache, cache_pixels


def first_rows(num_frames: dict[str, int]) -> dict[str, int]:
    """First row of each video, if the frames of all videos are sorted by video ID and then by frame.

    Args:
        num_frames: number of frames by video ID.
    """
    ids = sorted(num_frames)
    starts = itertools.accumulate((num_frames[video_id] for video_id in ids), initial=0)
    return dict(zip(ids, starts, strict=False))


def cache_frames(
    url: str,
    parts: Sequence[PartVideos],
    key: str,
    folder: Path,
    *,
    threads: int,
    tell: Callable[[int], None] = lambda done: None,
) -> ImageCache:
    """Cache of the frames of selected videos, in the order of `first_rows`; created if it does not exist.

    Frames are then on disk twice, compressed in the store and uncompressed in the cache. Memory-mapped pixels can be
    read in any order at no cost, while the store would decompress a whole row group for each random row. Copying takes
    0.9 ms per frame and core at 224 pixels, or 5 core minutes for 350,000 frames.

    Args:
        url: URL of the frame store.
        parts: parts of the store, with the selected videos.
        key: name of the cache.
        folder: folder for caches, on a local disk.
        threads: number of threads that read and decompress; both release the GIL. Each uses about 100 MB at 224 pixels.
        tell: progress callback; called from time to time with the number of frames copied.

    Raises:
        UsageError: the store does not exist or is damaged, or the folder has too little free space.
    """
    with storage_errors(url):
        store = FrameStore.open(url)
    fill = _fill_of(store, IMAGE, parts, threads, tell)
    return cache_pixels(_rows(parts), store.manifest.input_size, key, folder, fill)


def cache_column(
    store: FrameStore | FlowStore,
    column: str,
    parts: Sequence[PartVideos],
    key: str,
    folder: Path,
    *,
    threads: int,
    tell: Callable[[int], None] = lambda done: None,
) -> Array:
    """Cache of a column of selected videos, in the order of `first_rows`; created if it does not exist.

    Args:
        store: store of frames or of flow.
        column: tensor column.
        parts: parts of the store, with the selected videos.
        key: name of the cache.
        folder: folder for caches, on a local disk.
        threads: number of threads that read and decompress.
        tell: progress callback; called from time to time with the number of frames copied.

    Raises:
        UsageError: the store is damaged, or the folder has too little free space.
    """
    field = store.manifest.schema.field(column)
    layout = Layout((_rows(parts), *tensor_shape(field)), field.type.value_type.to_pandas_dtype())
    return cache_array(folder / key / f"{column}.bin", layout, _fill_of(store, column, parts, threads, tell)).values


def _rows(parts: Sequence[PartVideos]) -> int:
    return sum(sum(part.rows.values()) for part in parts)


def _fill_of(
    store: FrameStore | FlowStore,
    column: str,
    parts: Sequence[PartVideos],
    threads: int,
    tell: Callable[[int], None],
) -> Fill:
    """Function that copies a column of all parts."""
    num_frames = {video_id: rows for part in parts for video_id, rows in part.rows.items()}
    starts = first_rows(num_frames)

    def fill(values: Array) -> dict[str, Any]:
        done = 0
        with storage_errors(store.url), ThreadPoolExecutor(threads) as pool:
            for rows in pool.map(lambda part: _copy_part(store, column, part, starts, values), parts):
                done += rows
                tell(done)
        return {"frames": num_frames}

    return fill


def _copy_part(
    store: FrameStore | FlowStore, column: str, part: PartVideos, starts: dict[str, int], values: Array
) -> int:
    field, place = store.manifest.schema.field(column), {video_id: starts[video_id] for video_id in part.rows}
    for rows in store.runs(part, [VIDEO_ID, column]):
        video_id, found = rows[VIDEO_ID][0].as_py(), tensor_values(rows[column], field)
        values[place[video_id] : place[video_id] + len(found)] = found
        place[video_id] += len(found)
    return sum(part.rows.values())
