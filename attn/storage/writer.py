"""Writer of rows and failures into a store; any number of writers may share a store.

All rows of a store are written here.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

import pyarrow as pa

from attn.fault_points import reach
from attn.schema import N_FRAMES, TRUNCATED, VIDEO_ID
from attn.storage.assembler import Assembler, Rows, Spool
from attn.storage.failures import Failure, FailureLog
from attn.storage.location import Location
from attn.storage.parts import PartWriter

POSITION = "position"
LAST = "last"


@dataclasses.dataclass
class Written:
    """Counts of the videos and frames written so far.

    `videos` and `frames` count complete videos, `failed` counts videos given up. Videos of the open part are included
    unless completing it fails.
    """

    videos: int = 0
    frames: int = 0
    failed: int = 0
    truncated: int = 0

    def __add__(self, other: "Written") -> "Written":
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Written(*(a + b for a, b in zip(mine, theirs, strict=True)))


class StoreWriter:
    """Accept rows in any order, and write whole videos into parts and failures into `failures/`.

    Args:
        url: URL of the store.
        schema: schema of the parts.
        part_bytes: uncompressed size at which a part is completed.
    """

    def __init__(self, url: str, schema: pa.Schema, *, part_bytes: int):
        root = Location.at(url)
        self._written, self._failed = Written(), set[str]()
        self._in_open_part: dict[str, Written] = {}
        self._schema = schema
        self._parts = PartWriter(root, schema, part_bytes=part_bytes)
        self._failures = FailureLog(root)
        self._growing = growing_schema(schema)
        self._assembler = Assembler(self._growing, self._deliver)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of any videos (schema: `travelling_schema`), and write the videos that are complete."""
        for rows in split_videos(batch, self._growing):
            self._assembler.add(rows)

    def fail(self, failure: Failure) -> None:
        """Give a video up: drop its rows and record the failure."""
        if self._assembler.give_up(failure.video_id):
            self._failures.add(failure)
            self._written.failed += 1
            self._failed.add(failure.video_id)

    def flush(self) -> None:
        """Complete the open part, and drop unfinished videos so that they can be retried."""
        self._assembler.forget_unfinished()
        self._failures.flush()
        with self._part_or_nothing():
            self._parts.flush()

    def counts(self) -> Written:
        """Counts so far, including the open part."""
        return sum(list(self._in_open_part.values()), self._written)  # a copy, since another thread may ask

    def failed(self) -> set[str]:
        """IDs of the videos given up."""
        return self._failed

    def _deliver(self, video_id: str, spool: Spool, truncated: bool) -> None:
        reach("write", video_id)
        rows = spool.rows
        self._in_open_part[video_id] = Written(videos=1, frames=rows, truncated=int(truncated))
        with self._part_or_nothing():
            self._parts.add(self._finished(spool, rows, truncated))

    @contextlib.contextmanager
    def _part_or_nothing(self) -> Iterator[None]:
        """Update the counts of the open part: its videos are written if it was completed, and lost on an error."""
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
    """Schema of the rows of an incomplete video, without the columns that are known only at its end."""
    return pa.schema([field for field in schema if field.name not in (N_FRAMES, TRUNCATED)])


def travelling_schema(schema: pa.Schema) -> pa.Schema:
    """Schema of rows sent to a writer, with their position in the video and a mark on its last row."""
    marks = [pa.field(POSITION, pa.int32()), pa.field(LAST, pa.bool_()), pa.field(TRUNCATED, pa.bool_())]
    return pa.schema([*growing_schema(schema), *marks])


def split_videos(batch: pa.RecordBatch, growing: pa.Schema) -> Iterator[Rows]:
    """Rows of each video in a batch, in which they must be consecutive and in order."""
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
