"""Puts the rows of videos together again after a pool of actors computed them in any order.

Batches are of frames, not of videos: one forward pass holds the end of one video and the beginning of the next, and
several actors finish in any order. A part holds whole videos only. The assembler stands between: rows come in with
their position in the video, videos go out complete. It is also what makes delivery exactly-once: a batch that a
retried task sends again is recognised by its positions and dropped.
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
        video_id: whose.
        position: of the first row among the video's kept frames.
        batch: the rows; columns as stored, but for those only known at the end (`n_frames`, `truncated`).
        last: these rows end the video.
        truncated: the source ended before it said it would; known with the last rows.
    """

    video_id: str
    position: int
    batch: pa.RecordBatch
    last: bool
    truncated: bool = False


class _Place(NamedTuple):
    """Where in the spool's file a batch lies, and how many rows it has."""

    start: int
    stop: int
    rows: int


class Spool:
    """Rows of a video that is still growing, as they come: in memory while small, beyond `SPOOL_BYTES` in a file.

    Rows before their turn go the same way, and only their places are remembered. So neither an hour-long video nor one
    whose first rows are late costs more memory than a short one.

    Attributes:
        rows: from the first one on without a gap.
        bytes: of all rows there.
    """

    def __init__(self, schema: pa.Schema):
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, prefix="attn-spool-")  # noqa: SIM115
        self._schema = schema
        self._places: dict[int, _Place] = {}
        self.rows = self.bytes = 0

    def add(self, position: int, batch: pa.RecordBatch) -> None:
        """Takes the rows from a position on, unless they are there already.

        Raises:
            UsageError: no room in the temporary folder; the spool is lost.
        """
        if position < self.rows or position in self._places:
            return
        message = batch.serialize()
        with storage_errors(tempfile.gettempdir()):
            self._file.write(memoryview(message))
            self._file.flush()  # that the disk is full shows here, not when the rows are read
        self._places[position] = _Place(self.bytes, self.bytes + message.size, batch.num_rows)
        self.bytes += message.size
        while place := self._places.get(self.rows):
            self.rows += place.rows

    def drain(self) -> Iterator[pa.RecordBatch]:
        """The rows without a gap, in order."""
        position = 0
        while place := self._places.get(position):
            self._file.seek(place.start)
            message = self._file.read(place.stop - place.start)
            yield pa.ipc.read_record_batch(pa.py_buffer(message), self._schema)
            position += place.rows

    def close(self) -> None:
        """The rows are gone."""
        with contextlib.suppress(OSError):  # what the disk had no room for is written once more
            self._file.close()


@dataclasses.dataclass
class _Growing:
    """A video of which some rows are there; `n_frames` and `truncated` are known when its last ones came."""

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
    """Collects `Rows` and hands every video on, once, when its last missing row has come.

    Args:
        schema: of the rows.
        deliver: is called with (video id, spool, truncated) for every complete video; the spool is gone afterwards.
    """

    def __init__(self, schema: pa.Schema, deliver: Callable[[str, Spool, bool], None]):
        self._schema, self._deliver = schema, deliver
        self._growing: dict[str, _Growing] = {}
        self._closed: set[str] = set()

    def add(self, rows: Rows) -> None:
        """Takes rows in any order; those of a video already delivered or given up are dropped."""
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
        """Drops what came of a video that failed; False if it was delivered or given up before."""
        if video_id in self._closed:
            return False
        self._closed.add(video_id)
        self._forget(video_id)
        return True

    def reopen(self, video_ids: Iterable[str]) -> None:
        """Takes the rows of these videos again: they were delivered, and what became of them was lost."""
        self._closed.difference_update(video_ids)

    def forget_unfinished(self) -> None:
        """Drops every unfinished video so that it can be tried again."""
        for video_id in self.unfinished:
            self._forget(video_id)

    @property
    def unfinished(self) -> list[str]:
        """Videos of which some rows, not all, have come."""
        return list(self._growing)

    def _forget(self, video_id: str) -> None:
        video = self._growing.pop(video_id, None)
        if video:
            video.spool.close()
