"""The one place that writes rows into a store; any number of writers may share a store."""

import contextlib
import dataclasses
from collections.abc import Iterator

import pyarrow as pa

from attn.fault_points import reach
from attn.schema import N_FRAMES, TRUNCATED, VIDEO_ID
from attn.storage.assembler import Assembler, Rows, Spool
from attn.storage.failures import Failure, FailureLog
from attn.storage.filesystem import open_filesystem
from attn.storage.parts import PartWriter

POSITION = "position"
LAST = "last"


@dataclasses.dataclass
class Written:
    """What writers have done so far. `videos` and `frames` count complete videos, `failed` those given up.

    Videos of the open part count too, until it cannot be completed.
    """

    videos: int = 0
    frames: int = 0
    failed: int = 0
    truncated: int = 0

    def __add__(self, other: "Written") -> "Written":
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Written(*(a + b for a, b in zip(mine, theirs, strict=True)))


class StoreWriter:
    """Takes rows in any order, writes whole videos into parts and failures into `failures/`.

    Args:
        url: the store.
        schema: of its parts.
        part_bytes: size before compression at which a part is closed.
    """

    def __init__(self, url: str, schema: pa.Schema, *, part_bytes: int):
        fs, root = open_filesystem(url)
        self._written, self._failed = Written(), set[str]()
        self._in_open_part: dict[str, Written] = {}
        self._schema = schema
        self._parts = PartWriter(fs, root.rstrip("/"), schema, part_bytes=part_bytes)
        self._failures = FailureLog(fs, root.rstrip("/"))
        self._growing = growing_schema(schema)
        self._assembler = Assembler(self._growing, self._deliver)

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows of any videos (schema: `travelling_schema`); what completes a video is written."""
        for rows in split_videos(batch, self._growing):
            self._assembler.add(rows)

    def fail(self, failure: Failure) -> None:
        """Gives a video up: its rows are dropped, the failure is recorded."""
        if self._assembler.give_up(failure.video_id):
            self._failures.add(failure)
            self._written.failed += 1
            self._failed.add(failure.video_id)

    def flush(self) -> None:
        """Closes the open part; forgets videos that are not complete, so that they can be tried again."""
        self._assembler.forget_unfinished()
        self._failures.flush()
        with self._part_or_nothing():
            self._parts.flush()

    def counts(self) -> Written:
        """What has been done so far."""
        return sum(self._in_open_part.values(), self._written)

    def failed(self) -> set[str]:
        """Videos given up."""
        return self._failed

    def _deliver(self, video_id: str, spool: Spool, truncated: bool) -> None:
        reach("write", video_id)
        rows = spool.rows
        self._in_open_part[video_id] = Written(videos=1, frames=rows, truncated=int(truncated))
        with self._part_or_nothing():
            self._parts.add(self._finished(spool, rows, truncated))

    @contextlib.contextmanager
    def _part_or_nothing(self) -> Iterator[None]:
        """Keeps count of the open part: completed, its videos are written; dropped on an error, they never came."""
        try:
            yield
        except BaseException:
            self._assembler.reopen(self._in_open_part)
            self._in_open_part.clear()
            raise
        if not self._parts.is_open:
            self._written = self.counts()
            self._in_open_part.clear()

    def _finished(self, spool: Spool, rows: int, truncated: bool) -> Iterator[pa.RecordBatch]:
        for batch in spool.drain():
            known = {name: batch.column(name) for name in batch.schema.names}
            known[N_FRAMES] = pa.repeat(pa.scalar(rows, pa.int32()), batch.num_rows)
            known[TRUNCATED] = pa.repeat(pa.scalar(truncated), batch.num_rows)
            yield pa.RecordBatch.from_arrays([known[name] for name in self._schema.names], schema=self._schema)


def growing_schema(schema: pa.Schema) -> pa.Schema:
    """Schema of the rows of a video that is not complete: without what only its end tells."""
    return pa.schema([field for field in schema if field.name not in (N_FRAMES, TRUNCATED)])


def travelling_schema(schema: pa.Schema) -> pa.Schema:
    """Schema of rows on their way to a writer: with their place in the video, and its end marked on the last."""
    marks = [pa.field(POSITION, pa.int32()), pa.field(LAST, pa.bool_()), pa.field(TRUNCATED, pa.bool_())]
    return pa.schema([*growing_schema(schema), *marks])


def split_videos(batch: pa.RecordBatch, growing: pa.Schema) -> Iterator[Rows]:
    """The rows of each video in a batch, which stand together and in order."""
    ids = batch[VIDEO_ID].to_pylist()
    start = 0
    for stop in range(1, len(ids) + 1):
        if stop == len(ids) or ids[stop] != ids[start]:
            rows = batch.slice(start, stop - start)
            yield Rows(
                video_id=ids[start],
                position=rows[POSITION][0].as_py(),
                batch=rows.select(growing.names),
                last=rows[LAST][-1].as_py(),
                truncated=rows[TRUNCATED][-1].as_py(),
            )
            start = stop
