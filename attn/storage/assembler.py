"""Puts the rows of videos together again after a pool of actors computed them in any order.

Batches are of frames, not of videos: one forward pass holds the end of one video and the beginning of the next, and
several actors finish in any order. A part holds whole videos only. The assembler stands between: rows come in with
their position in the video, videos go out complete. It is also what makes delivery exactly-once: a batch that a
retried task sends again is recognised by its positions and dropped.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import pyarrow as pa

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


class Spool:
    """Rows of a video that is still growing: in memory while small, in a temporary file beyond `SPOOL_BYTES`.

    So an hour-long video costs no more memory than a short one.
    """

    def __init__(self, schema: pa.Schema):
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES, prefix="attn-spool-")  # noqa: SIM115
        self._writer = pa.ipc.new_stream(self._file, schema)
        self.rows = 0

    def append(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def drain(self) -> Iterator[pa.RecordBatch]:
        """All rows, once, before the spool is closed."""
        self._writer.close()
        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

    def close(self) -> None:
        self._file.close()


@dataclasses.dataclass
class _Growing:
    """A video of which some rows are there: the spool holds its beginning, `early` what came before its turn."""

    spool: Spool
    early: dict[int, Rows] = dataclasses.field(default_factory=dict)
    end: Rows | None = None

    def add(self, rows: Rows) -> None:
        self.early.setdefault(rows.position, rows)
        while (turn := self.early.pop(self.spool.rows, None)) is not None:
            self.spool.append(turn.batch)
            if turn.last:
                self.end = turn


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
        if rows.position >= video.spool.rows:
            video.add(rows)
        if video.end:
            self._closed.add(rows.video_id)
            del self._growing[rows.video_id]
            try:
                self._deliver(rows.video_id, video.spool, video.end.truncated)
            finally:
                video.spool.close()

    def give_up(self, video_id: str) -> bool:
        """Drops what came of a video that failed; False if it was delivered or given up before."""
        if video_id in self._closed:
            return False
        self._closed.add(video_id)
        video = self._growing.pop(video_id, None)
        if video:
            video.spool.close()
        return True

    def reopen(self, video_ids: Iterable[str]) -> None:
        """Takes the rows of these videos again: they were delivered, and what became of them was lost."""
        self._closed.difference_update(video_ids)

    def forget_unfinished(self) -> None:
        """Drops every unfinished video so that it can be tried again."""
        for video in self._growing.values():
            video.spool.close()
        self._growing.clear()

    @property
    def unfinished(self) -> list[str]:
        """Videos of which some rows, not all, have come."""
        return list(self._growing)
