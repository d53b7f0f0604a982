"""Reassembly of videos from rows that a pool of actors computes in any order.

Batches hold frames, not videos: one forward pass may hold the end of one video and the beginning of the next, and
actors finish in any order. Parts, however, hold only whole videos. The assembler receives rows with their positions in
the video and delivers complete videos. It also makes delivery exactly-once: a batch that a retried task sends again is
recognised by its positions and dropped.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

import pyarrow as pa

from attn.storage.filesystem import storage_errors

SPOOL_BYTES = 8 * 2**20


@dataclasses.dataclass(frozen=True)
class Rows:
    """Consecutive rows of one video.

    Attributes:
        video_id: ID of the video.
        position: index of the first row among the video's kept frames.
        batch: rows with the stored columns, except those known only at the end of the video (`n_frames`, `truncated`).
        last: whether the video ends with these rows.
        truncated: whether the source ended before its declared length; set only with the last rows.
    """

    video_id: str
    position: int
    batch: pa.RecordBatch
    last: bool
    truncated: bool = False


class _Place(NamedTuple):
    """Byte range of a batch in the spool's file, and its number of rows."""

    start: int
    stop: int
    rows: int


class Spool:
    """Rows of an incomplete video: in memory up to `SPOOL_BYTES`, in a temporary file beyond that.

    Rows that arrive before their turn are written to the same file, and only their byte ranges stay in memory. An
    hour-long video, or one whose first rows arrive late, therefore needs no more memory than a short one.

    Attributes:
        rows: number of rows from the first one on without a gap.
        bytes: size of all rows in the spool.
    """

    def __init__(self, schema: pa.Schema):
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, prefix="attn-spool-")  # noqa: SIM115
        self._schema = schema
        self._places: dict[int, _Place] = {}
        self.rows = self.bytes = 0

    def add(self, position: int, batch: pa.RecordBatch) -> None:
        """Add rows from a position on, unless the spool already has them.

        Raises:
            UsageError: the temporary folder is full; the spool is lost.
        """
        if position < self.rows or position in self._places:
            return
        message = batch.serialize()
        with storage_errors(tempfile.gettempdir()):
            self._file.write(memoryview(message))
            self._file.flush()  # a full disk raises here, not when the rows are read
        self._places[position] = _Place(self.bytes, self.bytes + message.size, batch.num_rows)
        self.bytes += message.size
        while place := self._places.get(self.rows):
            self.rows += place.rows

    def drain(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, up to the first gap."""
        position = 0
        while place := self._places.get(position):
            self._file.seek(place.start)
            message = self._file.read(place.stop - place.start)
            yield pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
            position += place.rows

    def close(self) -> None:
        """Discard the rows."""
        with contextlib.suppress(OSError):  # closing writes again what did not fit on the disk
            self._file.close()


@dataclasses.dataclass
class _Growing:
    """Incomplete video; `n_frames` and `truncated` are set when its last rows arrive."""

    spool: Spool
    n_frames: int | None = None
    truncated: bool = False

    def add(self, rows: Rows) -> None:
        self.spool.add(rows.position, rows.batch)
        if rows.last:
            self.n_frames, self.truncated = rows.position + rows.batch.num_rows, rows.truncated

    @property
    def complete(self) -> bool:
        return self.spool.rows == self.n_frames


class Assembler:
    """Collect `Rows` and deliver each video exactly once, when its last missing row arrives.

    Args:
        schema: schema of the rows.
        deliver: called with (video ID, spool, truncated) for each complete video; the spool is closed afterwards.
    """

    def __init__(self, schema: pa.Schema, deliver: Callable[[str, Spool, bool], None]):
        self._schema, self._deliver = schema, deliver
        self._growing: dict[str, _Growing] = {}
        self._closed: set[str] = set()

    def add(self, rows: Rows) -> None:
        """Add rows in any order; rows of a video that was already delivered or given up are dropped."""
        if rows.video_id in self._closed:
            return
        video = self._growing.get(rows.video_id)
        if video is None:
            video = self._growing[rows.video_id] = _Growing(Spool(self._schema))
        try:
            video.add(rows)
        except BaseException:
            self._forget(rows.video_id)
            raise
        if video.complete:
            self._closed.add(rows.video_id)
            del self._growing[rows.video_id]
            try:
                self._deliver(rows.video_id, video.spool, video.truncated)
            finally:
                video.spool.close()

    def give_up(self, video_id: str) -> bool:
        """Drop the rows of a failed video; return False if it was already delivered or given up."""
        if video_id in self._closed:
            return False
        self._closed.add(video_id)
        self._forget(video_id)
        return True

    def reopen(self, video_ids: Iterable[str]) -> None:
        """Accept rows of these delivered videos again, because the part that held them was lost."""
        self._closed.difference_update(video_ids)

    def forget_unfinished(self) -> None:
        """Drop all unfinished videos so that they can be retried."""
        for video_id in self.unfinished:
            self._forget(video_id)

    @property
    def unfinished(self) -> list[str]:
        """IDs of the videos with some but not all rows."""
        return list(self._growing)

    def _forget(self, video_id: str) -> None:
        video = self._growing.pop(video_id, None)
        if video:
            video.spool.close()
