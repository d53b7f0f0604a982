"""Rows of any video of a store, by position: only the row groups that hold them are read.

`attn.storage.store` reads whole stores in order instead.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from attn.schema import FRAME, LABEL, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.bounded_cache import BoundedCache
from attn.storage.damage import REPAIR, damage_named
from attn.storage.location import Location
from attn.storage.part_columns import opened, read_columns
from attn.storage.parts import PARTS_AT_ONCE, PartVideos
from attn.storage.store import AttentionStore, VideoRows, slices_of_videos
from attn.storage.tensors import tensor_values

CACHE_BYTES = 256 << 20
OPEN_PARTS = 16
SHORT_GROUPS = 2
"""Row groups up to which a video is short."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Rows of one video in its part.

    Attributes:
        video_id: ID of the video.
        part: path of the part.
        start: position of its first row in the part.
        count: number of its rows.
        label: class ID; None if unknown.
        truncated: whether the source ended before its declared length.
    """

    video_id: str
    part: str
    start: int
    count: int
    label: int | None
    truncated: bool


class Places(NamedTuple):
    """Video with the rows of one small tensor column; None if it was not asked for."""

    place: Place
    values: np.ndarray | None


def read_places(store: AttentionStore, column: str | None = None) -> Iterator[Places]:
    """Yield every complete video of a store once, in order, without reading its maps.

    Args:
        store: the store.
        column: small tensor column to read too, such as logits.

    Raises:
        UsageError: a part is damaged.
    """
    with ThreadPoolExecutor(1 if store.folder.is_local else PARTS_AT_ONCE) as pool:
        for found in pool.map(lambda part: _places_in(store, part, column), store.parts):
            yield from found


def _places_in(store: AttentionStore, part: PartVideos, column: str | None) -> list[Places]:
    columns = [VIDEO_ID, LABEL, TRUNCATED, *([] if column is None else [column])]
    starts: dict[str, int] = {}
    pieces: dict[str, list[pa.RecordBatch]] = {}
    row = 0
    file = store.folder.at_path(part.path)
    with damage_named(file, REPAIR, store.manifest.job):
        for batch in read_columns(file, columns, small=True):
            for piece in slices_of_videos(batch):
                video_id = piece[VIDEO_ID][0].as_py()
                if video_id in part.rows:
                    starts.setdefault(video_id, row)
                    pieces.setdefault(video_id, []).append(piece)
                row += len(piece)
    return [_place(store, part, starts[video_id], pieces[video_id], column) for video_id in starts]


def _place(
    store: AttentionStore, part: PartVideos, start: int, pieces: list[pa.RecordBatch], name: str | None
) -> Places:
    first = pieces[0]
    video_id = first[VIDEO_ID][0].as_py()
    place = Place(video_id, part.path, start, part.rows[video_id], first[LABEL][0].as_py(), first[TRUNCATED][0].as_py())
    if name is None:
        return Places(place, None)
    column = pa.chunked_array([piece[name] for piece in pieces])
    return Places(place, tensor_values(column, store.manifest.schema.field(name)))


class RowReader:
    """Reader of some columns of any rows; any number of threads may use it.

    Args:
        store: the store.
        columns: tensor columns to read.
        cache_bytes: bytes of row groups that are kept in memory.
    """

    def __init__(self, store: AttentionStore, columns: Sequence[str], cache_bytes: int = CACHE_BYTES):
        self._store, self._columns = store, list(columns)
        self._groups = BoundedCache[pa.Table](cache_bytes, lambda table: table.nbytes)
        self._parts: dict[str, _OpenPart] = {}
        self._lock = threading.Lock()

    def rows(self, place: Place, positions: slice = slice(None)) -> VideoRows:
        """Return some rows of a video.

        Args:
            place: rows of the video in its part.
            positions: positions in the video; by default all.

        Raises:
            UsageError: the part is damaged or was removed.
        """
        start, stop, _ = positions.indices(place.count)
        file = self._store.folder.at_path(place.part)
        with damage_named(file, REPAIR, self._store.manifest.job):
            part = self._part(file)
            table = pa.concat_tables(self._slices(part, place.start + start, place.start + stop))
        schema = self._store.manifest.schema
        return VideoRows(
            video_id=place.video_id,
            label=place.label,
            truncated=place.truncated,
            frame=table[FRAME].to_numpy(),
            time_s=table[TIME_S].to_numpy(),
            tensors={name: tensor_values(table[name], schema.field(name)) for name in self._columns},
        )

    def times(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices in the source and the times in seconds of all rows of a video.

        The tensors of a short video are read too, in the same request: its frames are asked for next.
        """
        file = self._store.folder.at_path(place.part)
        with damage_named(file, REPAIR, self._store.manifest.job):
            part = self._part(file)
            first, last = part.group_of(place.start), part.group_of(place.start + place.count - 1)
            if last - first < SHORT_GROUPS:
                rows = pa.concat_tables(self._slices(part, place.start, place.start + place.count))
            else:
                with part.lock:
                    table = part.read(list(range(first, last + 1)), [FRAME, TIME_S])
                rows = table.slice(place.start - int(part.starts[first]), place.count)
        return rows[FRAME].to_numpy(), rows[TIME_S].to_numpy()

    def _slices(self, part: "_OpenPart", start: int, stop: int) -> Iterator[pa.Table]:
        """Rows `start` to `stop` of a part, group by group."""
        for group in range(part.group_of(start), part.group_of(max(start, stop - 1)) + 1):
            table = self._group(part, group)
            begins = int(part.starts[group])
            low, high = max(start - begins, 0), min(stop - begins, len(table))
            yield table.slice(low, high - low)

    def _group(self, part: "_OpenPart", group: int) -> pa.Table:
        """Row group, read once however many threads ask for it."""
        key = (part.path, group)
        if (found := self._groups.get(key)) is None:
            with part.lock:
                if (found := self._groups.get(key)) is None:
                    self._groups.put(key, found := part.read([group], [FRAME, TIME_S, *self._columns]))
        return found

    def _part(self, file: Location) -> "_OpenPart":
        """Open part; the one that was used longest ago is dropped if there are too many."""
        with self._lock:
            part = self._parts.pop(file.path, None) or _OpenPart(file)
            self._parts[file.path] = part
            if len(self._parts) > OPEN_PARTS:
                del self._parts[next(iter(self._parts))]
            return part


class _OpenPart:
    """Part whose footer has been read. Its file is closed when the last reference is dropped.

    Attributes:
        path: path of the part.
        lock: lock to hold while rows are read, because a file has one position.
        starts: position of the first row of each row group, and the number of rows.
    """

    def __init__(self, part: Location):
        self.path = part.path
        # Each read of a remote part is one request for exactly these bytes; s3fs would read 50 MB ahead.
        self._file = pa.OSFile(part.path, "rb") if part.is_local else part.open(cache_type="none")
        self._part, self.lock = opened(self._file, pre_buffer=True), threading.Lock()
        metadata = self._part.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])

    def group_of(self, row: int) -> int:
        """Return the row group of a row."""
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def read(self, groups: list[int], columns: list[str]) -> pa.Table:
        """Read columns of some row groups."""
        return self._part.read_row_groups(groups, columns=columns, use_threads=False)
