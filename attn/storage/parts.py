"""Part files: whole videos only, visible under their final name only when complete.

A part grows under a hidden name and is renamed (S3: in the temporary folder, then one upload), so a reader never meets
half a part, whatever kills the writer.
"""

import contextlib
import dataclasses
import sys
import uuid
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from attn.schema import N_FRAMES, VIDEO_ID
from attn.storage.filesystem import atomic_path
from attn.storage.listing import names_in
from attn.storage.orphans import lock

ROW_GROUP_ROWS = 256
PIXEL_GROUP_ROWS = 32  # while Parquet packs or unpacks pixels, each takes it some 15 bytes
PREFIX = "part-"


@dataclasses.dataclass(frozen=True)
class PartVideos:
    """What a part holds: complete videos with their numbers of rows, in order; and videos that lack rows."""

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
        self._group_rows = PIXEL_GROUP_ROWS if _bytes_in(schema) else ROW_GROUP_ROWS
        self._file = contextlib.ExitStack()
        hidden = self._file.enter_context(atomic_path(fs, f"{root}/{PREFIX}{uuid.uuid4().hex[:16]}.parquet"))
        # A sink of its own, since pyarrow leaves a file open that it opened itself and then cannot complete.
        self._sink = self._file.enter_context(pa.OSFile(str(hidden), "wb"))
        lock(self._sink.fileno())
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            use_dictionary=[VIDEO_ID, *_bytes_in(schema)],  # pyright: ignore[reportArgumentType]
            write_page_checksum=True,
        )

    def append(self, batch: pa.RecordBatch) -> None:
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
        self._file.close()

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """If the block fails, nothing of the part is left."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):  # its footer has no room either
                self._writer.close()
            self._file.__exit__(*sys.exc_info())
            raise

    def _write(self, rows: int) -> None:
        """Writes that many of the waiting rows, in row groups."""
        table = pa.Table.from_batches(self._waiting, self._writer.schema)
        self._writer.write_table(table.slice(0, rows), row_group_size=self._group_rows)
        self._waiting = table.slice(rows).to_batches() if rows < len(table) else []


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


def read_part_videos(fs: AbstractFileSystem, path: str) -> PartVideos:
    """The videos of a part: those of which each of `n_frames` rows is there, and the others.

    Reads two small columns only.

    Raises:
        OSError, pyarrow.ArrowException: the part is unreadable.
    """
    with fs.open(path, "rb") as file:
        table = pq.read_table(file, columns=[VIDEO_ID, N_FRAMES], page_checksum_verification=True)
    counts = table.group_by(VIDEO_ID, use_threads=False).aggregate([(N_FRAMES, "max"), (N_FRAMES, "count")])
    rows = zip(*(counts[name].to_pylist() for name in (VIDEO_ID, "n_frames_max", "n_frames_count")), strict=True)
    found = {video: (expected, present) for video, expected, present in rows}
    whole = {video: present for video, (expected, present) in found.items() if expected == present}
    return PartVideos(path, whole, partial=frozenset(found.keys() - whole.keys()))


def read_columns(fs: AbstractFileSystem, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Record batches of some columns of a part, a row group at a time."""
    with fs.open(path, "rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as part:
        groups = part.metadata.num_row_groups
        rows = part.metadata.row_group(0).num_rows if groups else ROW_GROUP_ROWS
        yield from part.iter_batches(rows, columns=columns)
