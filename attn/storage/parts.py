"""Part files: whole videos only, visible under their final name only when complete.

A part grows under a hidden name and is renamed (S3: in the temporary folder, then one upload), so a reader never meets
half a part, whatever kills the writer.
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
from fsspec import AbstractFileSystem

from attn.fault_points import reach
from attn.schema import FRAME, N_FRAMES, VIDEO_ID
from attn.storage.attempts import PAUSES_S
from attn.storage.damage import disk_fails
from attn.storage.filesystem import atomic_path, write_atomic
from attn.storage.listing import names_in
from attn.storage.orphans import lock
from attn.storage.video_runs import find_runs

ROW_GROUP_ROWS = 256
PIXEL_GROUP_ROWS = 32  # while Parquet packs or unpacks pixels, each takes it some 15 bytes
PREFIX = "part-"
PARTS_AT_ONCE = 16
FINGERPRINT = b"fingerprint"

_SMALL = (VIDEO_ID, N_FRAMES, FRAME)
# What no writer makes, and what a reader would take memory or time for: constant rows cost a file next to nothing. The
# number of rows of a whole part has no bound, a video may be of any length; it is read in batches.
_MOST_GROUP_ROWS = 256 * ROW_GROUP_ROWS  # for parts that another program wrote anew
_MOST_SMALL_BYTES = 4 << 20  # of a small column in a row group: 256 video ids of 16 KB, four times the longest path
_BATCH_ROWS = 1 << 14


@dataclasses.dataclass(frozen=True)
class PartVideos:
    """What a part holds: complete videos with their numbers of rows, in order; and videos that lack rows or have them
    in another order."""

    path: str
    rows: dict[str, int]
    partial: frozenset[str] = frozenset()


class PartWriter:
    """Writes videos one after the other into parts of about `part_bytes`.

    Nothing is held back but the rows of one row group: a part streams to its file while it grows. The price: rows
    cannot be taken back out of it, so whatever goes wrong while a video is added or the part completed, such as a full
    disk, costs the whole open part. Its file is removed and the next video begins another.
    """

    def __init__(self, fs: AbstractFileSystem, root: str, schema: pa.Schema, *, part_bytes: int):
        self.fs, self.root, self.schema, self.part_bytes = fs, root, schema, part_bytes
        self._open: _OpenPart | None = None

    @property
    def is_open(self) -> bool:
        """Whether videos were added that stand in no completed part."""
        return self._open is not None

    def add(self, video: Iterable[pa.RecordBatch]) -> None:
        """Appends one whole video; closes the part if it is large enough then."""
        part, self._open = self._open or _OpenPart(self.fs, self.root, self.schema), None
        with part.dropped_on_error():
            for batch in video:
                part.append(batch)
            if part.bytes >= self.part_bytes:
                part.commit()
                return
        self._open = part  # only now: half a video must never be committed

    def flush(self) -> None:
        """Completes the open part, if there is one."""
        part, self._open = self._open, None
        if part:
            with part.dropped_on_error():
                part.commit()


class _OpenPart:
    """A part on its way: a Parquet writer over a file that is not visible yet."""

    def __init__(self, fs: AbstractFileSystem, root: str, schema: pa.Schema):
        self.bytes = 0
        self._waiting: list[pa.RecordBatch] = []
        self._first = ""
        self._group_rows = _group_rows(schema)
        self._file = contextlib.ExitStack()
        hidden = self._file.enter_context(atomic_path(fs, f"{root}/{PREFIX}{uuid.uuid4().hex[:16]}.parquet"))
        # A sink of its own, since pyarrow leaves a file open that it opened itself and then cannot complete.
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
        """Writes what waits; the part stands under its name when this returns."""
        if self._waiting:
            self._write(sum(waiting.num_rows for waiting in self._waiting))
        self._writer.close()
        reach("commit", self._first)
        self._file.close()
        reach("committed", self._first)

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """If the block fails, nothing of the part is left."""
        try:
            yield
        except BaseException:
            reach("dropped", self._first)
            with contextlib.suppress(Exception):  # its footer has no room either
                self._writer.close()
            self._file.__exit__(*sys.exc_info())
            raise

    def _write(self, rows: int) -> None:
        """Writes that many of the waiting rows, in row groups."""
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
    """Tensor columns of uint8, as Parquet calls them. It has no such type and would write four bytes each.

    Indices into a dictionary of 256 take one byte. Measured on real clips at 224 pixels: 84 KB a frame instead of 127.
    """
    tensors = [field for field in schema if pa.types.is_fixed_size_list(field.type)]
    return [f"{field.name}.list.element" for field in tensors if field.type.value_type == pa.uint8()]


def is_part(name: str) -> bool:
    """Whether a file of this name is a part."""
    return name.startswith(PREFIX) and name.endswith(".parquet")


def list_parts(fs: AbstractFileSystem, root: str) -> list[str]:
    """Paths of the parts in a store, sorted."""
    return sorted(f"{root}/{name}" for name in names_in(fs, root) if is_part(name))


def read_part_videos(fs: AbstractFileSystem, path: str, schema: pa.Schema | None) -> PartVideos:
    """The videos of a part: those of which each of `n_frames` rows is there, in order, and the others.

    Reads three small columns only, some rows at a time: whatever a part claims, memory is taken by its videos alone.

    Args:
        fs, path: the part.
        schema: of the store's parts, with its fingerprint; None asks for nothing.

    Raises:
        OSError, pyarrow.ArrowException: the part is unreadable, or was written by another run than its store's.
    """
    rows: dict[str, int] = {}
    partial: set[str] = set()
    with fs.open(path, "rb") as file, _opened(file, read_dictionary=[VIDEO_ID]) as part:
        if schema is not None:
            _check_belongs(part.schema.to_arrow_schema(), schema)
        _check_bounded(part.metadata)
        # Threads of Arrow's own, begun from several of ours, now and then abort a process that ends soon.
        for run in find_runs(part.iter_batches(_BATCH_ROWS, columns=list(_SMALL), use_threads=False)):
            if run.whole and run.video_id not in rows and run.video_id not in partial:
                rows[run.video_id] = run.rows
            else:
                rows.pop(run.video_id, None)
                partial.add(run.video_id)
    return PartVideos(path, rows, frozenset(partial))


def read_parts(
    fs: AbstractFileSystem, root: str, schema: pa.Schema | None
) -> Iterator[tuple[str, PartVideos | OSError | pa.ArrowException]]:
    """Path of every part in a store, sorted, with its videos or what `read_part_videos` raised.

    Some at the same time: a distant storage makes each wait. What a disk does not give is asked for again: on one of
    the network it may be a matter of seconds.
    """

    def read(path: str) -> PartVideos | OSError | pa.ArrowException:
        for pause_s in PAUSES_S:
            try:
                return read_part_videos(fs, path, schema)
            except pa.ArrowException as error:
                return error
            except OSError as error:
                if not disk_fails(error, fs):
                    return error
            time.sleep(pause_s)
        try:
            return read_part_videos(fs, path, schema)
        except (OSError, pa.ArrowException) as error:
            return error

    paths = list_parts(fs, root)
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        yield from zip(paths, pool.map(read, paths), strict=True)


def _opened(file: Any, **how: Any) -> pq.ParquetFile:
    return pq.ParquetFile(file, page_checksum_verification=True, **how)


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
        raise pa.ArrowInvalid(f"written by a run with fingerprint {theirs}, the store's is {mine}")
    if not found.equals(schema):
        raise pa.ArrowInvalid("its columns are not those of the store")


def rewrite_without(fs: AbstractFileSystem, path: str, videos: Container[str]) -> None:
    """Takes videos out of a part; one of which nothing is left is removed.

    Raises:
        OSError, pyarrow.ArrowException: the part is damaged somewhere, and stays as it is.
    """
    sink, left = pa.BufferOutputStream(), 0
    with fs.open(path, "rb") as file, _opened(file) as part:
        schema = part.schema_arrow
        with pq.ParquetWriter(sink, schema, **_how_written(schema)) as writer:
            for batch in part.iter_batches(_group_rows(schema), use_threads=False):
                kept = batch.filter(
                    pa.array([video not in videos for video in batch[VIDEO_ID].to_pylist()], pa.bool_())
                )
                left += kept.num_rows
                if kept.num_rows:
                    writer.write_batch(kept)
    if not left:
        fs.rm_file(path)
        return
    write_atomic(fs, path, sink.getvalue().to_pybytes())


def check_pages(fs: AbstractFileSystem, path: str) -> None:
    """Reads a part from its first byte to its last.

    Raises:
        OSError, pyarrow.ArrowException: it is damaged somewhere.
    """
    with fs.open(path, "rb") as file, _opened(file) as part:
        for _ in part.iter_batches(_group_rows(part.schema_arrow), use_threads=False):
            pass


def read_columns(fs: AbstractFileSystem, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Record batches of some columns of a part, a row group at a time, or less of one that no writer made."""
    with fs.open(path, "rb") as file, _opened(file) as part:
        groups = part.metadata.num_row_groups
        rows = part.metadata.row_group(0).num_rows if groups else ROW_GROUP_ROWS
        yield from part.iter_batches(min(rows, ROW_GROUP_ROWS), columns=columns)
