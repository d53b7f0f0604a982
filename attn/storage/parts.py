"""Part files: they hold only whole videos and get their final name only when complete.

A part grows under a hidden name and is then renamed (S3: it grows in the temporary folder and is then uploaded), so a
reader never meets half a part, even if the writer is killed.
"""

import contextlib
import dataclasses
import sys
import time
import uuid
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attn.fault_points import reach
from attn.schema import FRAME, N_FRAMES, VIDEO_ID
from attn.storage.damage import disk_fails
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.storage.part_columns import ROW_GROUP_ROWS, open_for_small, opened
from attn.storage.retry import PAUSES_S
from attn.storage.stale_files import lock
from attn.storage.video_runs import find_runs

PIXEL_GROUP_ROWS = 32  # Parquet needs about 15 bytes per pixel while it encodes or decodes
PREFIX = "part-"
PARTS_AT_ONCE = 16
FINGERPRINT = b"fingerprint"

_SMALL = (VIDEO_ID, N_FRAMES, FRAME)
# Limits far above what a writer produces. Without them, a small file could exhaust a reader's memory or time, because
# constant rows compress to almost nothing. The number of rows of a whole part is unlimited, because a video may have
# any length; rows are read in batches.
_MOST_GROUP_ROWS = 256 * ROW_GROUP_ROWS  # allows for parts that another program has rewritten
_MOST_SMALL_BYTES = 4 << 20  # small column, per row group: 256 video IDs of 16 KB, four times the longest path
_BATCH_ROWS = 1 << 14


@dataclasses.dataclass(frozen=True)
class PartVideos:
    """Content of a part: complete videos with their numbers of rows, in order, and partial videos.

    Partial videos lack rows or have them in the wrong order.
    """

    path: str
    rows: dict[str, int]
    partial: frozenset[str] = frozenset()


class PartWriter:
    """Write videos one after the other into parts of about `part_bytes`.

    Only the rows of one row group are buffered; the part is streamed to its file. The price: rows cannot be removed
    from it again, so any error while a video is added or the part is completed, such as a full disk, costs the whole
    open part. Its file is removed, and the next video starts another part.
    """

    def __init__(self, folder: Location, schema: pa.Schema, *, part_bytes: int):
        self.folder, self.schema, self.part_bytes = folder, schema, part_bytes
        self._open: _OpenPart | None = None

    @property
    def is_open(self) -> bool:
        """Whether videos were added that are not in a completed part yet."""
        return self._open is not None

    def add(self, video: Iterable[pa.RecordBatch]) -> None:
        """Append one whole video, and complete the part if it has reached `part_bytes`."""
        part, self._open = self._open or _OpenPart(self.folder, self.schema), None
        with part.dropped_on_error():
            for batch in video:
                part.append(batch)
            if part.bytes >= self.part_bytes:
                part.commit()
                return
        self._open = part  # only now: half a video must never be committed

    def flush(self) -> None:
        """Complete the open part, if there is one."""
        part, self._open = self._open, None
        if part:
            with part.dropped_on_error():
                part.commit()


class _OpenPart:
    """Part that is being written: a Parquet writer over a file that is not visible yet."""

    def __init__(self, folder: Location, schema: pa.Schema):
        self.bytes = 0
        self._waiting: list[pa.RecordBatch] = []
        self._first = ""
        self._group_rows = _group_rows(schema)
        self._file = contextlib.ExitStack()
        part = folder / f"{PREFIX}{uuid.uuid4().hex[:16]}.parquet"
        hidden = self._file.enter_context(part.atomic_path())
        # An explicit sink, because pyarrow does not close a file that it opened itself and then cannot complete.
        self._sink = self._file.enter_context(pa.OSFile(str(hidden), "wb"))
        lock(self._sink.fileno())
        self._writer = pq.ParquetWriter(self._sink, schema, **_how_written(schema))

    def append(self, batch: pa.RecordBatch) -> None:
        self._first = self._first or batch[VIDEO_ID][0].as_py()
        self._waiting.append(batch)
        self.bytes += batch.nbytes
        rows = sum(waiting.num_rows for waiting in self._waiting)
        if rows >= self._group_rows:
            self._write(rows // self._group_rows * self._group_rows)

    def commit(self) -> None:
        """Write the buffered rows; the part exists under its final name when this returns."""
        if self._waiting:
            self._write(sum(waiting.num_rows for waiting in self._waiting))
        self._writer.close()
        reach("commit", self._first)
        self._file.close()
        reach("committed", self._first)

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """Remove the part's file if the block fails."""
        try:
            yield
        except BaseException:
            reach("dropped", self._first)
            with contextlib.suppress(Exception):  # there may be no space for the footer either
                self._writer.close()
            self._file.__exit__(*sys.exc_info())
            raise

    def _write(self, rows: int) -> None:
        """Write this number of the buffered rows, in row groups."""
        table = pa.Table.from_batches(self._waiting, self._writer.schema)
        self._writer.write_table(table.slice(0, rows), row_group_size=self._group_rows)
        self._waiting = table.slice(rows).to_batches() if rows < len(table) else []


def _how_written(schema: pa.Schema) -> dict[str, Any]:
    return {
        "compression": "zstd",
        "use_dictionary": [VIDEO_ID, *_bytes_in(schema)],
        "write_page_checksum": True,
    }


def _group_rows(schema: pa.Schema) -> int:
    return PIXEL_GROUP_ROWS if _bytes_in(schema) else ROW_GROUP_ROWS


def _bytes_in(schema: pa.Schema) -> list[str]:
    """Parquet names of the tensor columns of 8-bit integers, which Parquet would store in four bytes per value.

    Indices into a dictionary of 256 values take one byte. Measured on real clips at 224 pixels: 84 KB per frame instead
    of 127.
    """
    tensors = [field for field in schema if pa.types.is_fixed_size_list(field.type)]
    return [f"{field.name}.list.element" for field in tensors if field.type.value_type in (pa.uint8(), pa.int8())]


def is_part(name: str) -> bool:
    """Whether a file of this name is a part."""
    return name.startswith(PREFIX) and name.endswith(".parquet")


def list_parts(folder: Location) -> list[Location]:
    """Parts in a store, sorted."""
    return [folder / name for name in sorted(names_in(folder)) if is_part(name)]


def read_part_videos(part: Location, schema: pa.Schema | None) -> PartVideos:
    """Videos of a part: complete ones, with all of their `n_frames` rows in order, and partial ones.

    Only three small columns are read, some rows at a time, so that memory depends only on the number of videos,
    whatever sizes the part claims.

    Args:
        part: location of the part.
        schema: schema of the store's parts, with its fingerprint; None accepts any.

    Raises:
        OSError, pyarrow.ArrowException: the part is unreadable, or does not belong to the store.
    """
    rows: dict[str, int] = {}
    partial: set[str] = set()
    with open_for_small(part) as file, opened(file, read_dictionary=[VIDEO_ID]) as parquet:
        if schema is not None:
            _check_belongs(parquet.schema.to_arrow_schema(), schema)
        _check_bounded(parquet.metadata)
        # Arrow's own threads, if started from several of ours, occasionally abort a process that ends soon after.
        for run in find_runs(parquet.iter_batches(_BATCH_ROWS, columns=list(_SMALL), use_threads=False)):
            if run.whole and run.video_id not in rows and run.video_id not in partial:
                rows[run.video_id] = run.rows
            else:
                rows.pop(run.video_id, None)
                partial.add(run.video_id)
    return PartVideos(part.path, rows, frozenset(partial))


def read_parts(
    folder: Location, schema: pa.Schema | None
) -> Iterator[tuple[Location, PartVideos | OSError | pa.ArrowException]]:
    """Each part of a store, sorted, with its videos or the error that `read_part_videos` raised.

    Several parts are read at the same time, because each one waits for a remote storage. Read errors of a disk are
    retried, because a network disk may recover within seconds.
    """

    def read(part: Location) -> PartVideos | OSError | pa.ArrowException:
        for pause_s in PAUSES_S:
            try:
                return read_part_videos(part, schema)
            except pa.ArrowException as error:
                return error
            except OSError as error:
                if not disk_fails(error, part):
                    return error
            time.sleep(pause_s)
        try:
            return read_part_videos(part, schema)
        except (OSError, pa.ArrowException) as error:
            return error

    parts = list_parts(folder)
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        yield from zip(parts, pool.map(read, parts), strict=True)


def _check_bounded(part: pq.FileMetaData) -> None:
    for group in map(part.row_group, range(part.num_row_groups)):
        if group.num_rows > _MOST_GROUP_ROWS:
            raise pa.ArrowInvalid(f"a row group claims {group.num_rows} rows, more than {_MOST_GROUP_ROWS}")
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in _SMALL and column.total_uncompressed_size > _MOST_SMALL_BYTES:
                raise pa.ArrowInvalid(
                    f"{column.path_in_schema} claims {column.total_uncompressed_size} bytes in a row group, "
                    f"more than {_MOST_SMALL_BYTES}"
                )


def _check_belongs(found: pa.Schema, schema: pa.Schema) -> None:
    mine, theirs = (((each.metadata or {}).get(FINGERPRINT) or b"none").decode() for each in (schema, found))
    if mine != theirs:
        raise pa.ArrowInvalid(f"written with fingerprint {theirs}, but the store's is {mine}")
    if not found.equals(schema):
        raise pa.ArrowInvalid("its columns differ from those of the store")


def rewrite_without(part: Location, videos: Container[str]) -> None:
    """Remove videos from a part, or the whole part if nothing else is left.

    Raises:
        OSError, pyarrow.ArrowException: the part is damaged, and is left unchanged.
    """
    sink, left = pa.BufferOutputStream(), 0
    with part.open() as file, opened(file) as parquet:
        schema = parquet.schema_arrow
        with pq.ParquetWriter(sink, schema, **_how_written(schema)) as writer:
            for batch in parquet.iter_batches(_group_rows(schema), use_threads=False):
                kept = batch.filter(
                    pa.array([video not in videos for video in batch[VIDEO_ID].to_pylist()], pa.bool_())
                )
                left += kept.num_rows
                if kept.num_rows:
                    writer.write_batch(kept)
    if not left:
        part.remove()
        return
    part.write_atomic(sink.getvalue().to_pybytes())


def check_pages(part: Location) -> None:
    """Read all pages of a part, which verifies their checksums.

    Raises:
        OSError, pyarrow.ArrowException: the part is damaged.
    """
    with part.open() as file, opened(file) as parquet:
        for _ in parquet.iter_batches(_group_rows(parquet.schema_arrow), use_threads=False):
            pass
