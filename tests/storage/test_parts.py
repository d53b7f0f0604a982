"""A part that cannot be written whole is not written at all, and no one counts what was in it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from attn.errors import UsageError
from attn.schema import FRAME, N_FRAMES, VIDEO_ID
from attn.storage.damage import is_damage
from attn.storage.failures import Failure
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.part_columns import ROW_GROUP_ROWS, read_columns
from attn.storage.parts import (
    PartVideos,
    PartWriter,
    list_parts,
    read_part_videos,
    read_parts,
    rewrite_without,
)
from attn.storage.writer import StoreWriter, Written

SCHEMA = pa.schema([(VIDEO_ID, pa.string()), (N_FRAMES, pa.int32()), (FRAME, pa.int32())])
FullDisk = Callable[[int], contextlib.AbstractContextManager[None]]


def batch(video_id: str, rows: int, n_frames: int) -> pa.RecordBatch:
    columns = {VIDEO_ID: [video_id] * rows, N_FRAMES: [n_frames] * rows, FRAME: range(rows)}
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def fill(writer: StoreWriter, rows: pa.RecordBatch) -> None:
    writer.add(rows)
    writer.flush()


@contextlib.contextmanager
def counted() -> Iterator[pa.MemoryPool]:
    """Counts what Arrow takes inside."""
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    try:
        yield counting
    finally:
        pa.set_memory_pool(usual)


def write_part(folder: Path, rows: int, video_id: str = "v", group_rows: int = 1 << 16, cells: int = 0) -> str:
    """A part of one video whose rows cost the file next to nothing."""
    ids = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [video_id])
    columns = {VIDEO_ID: ids, N_FRAMES: np.full(rows, rows, np.int32), FRAME: np.arange(rows, dtype=np.int32)}
    if cells:
        columns["cells"] = pa.FixedSizeListArray.from_arrays(
            pa.repeat(pa.scalar(0.0, pa.float32()), rows * cells), cells
        )
    path = folder / "part-0.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=group_rows, compression="zstd")
    return str(path)


def test_half_a_video_is_never_committed(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[pa.RecordBatch]:
        yield batch("half", 300, 600)
        raise OSError("the spool cannot be read")

    parts = PartWriter(Location.at(str(tmp_path)), SCHEMA, part_bytes=2**30)
    parts.add([batch("before", 2, 2)])
    with pytest.raises(Exception, match="the spool cannot be read"):
        parts.add(breaks_off())
    assert list(tmp_path.iterdir()) == []
    parts.flush()
    assert list(tmp_path.iterdir()) == []
    parts.add([batch("after", 3, 3)])
    parts.flush()
    assert Ledger.at(str(tmp_path)).done() == {"after": 3}


@pytest.mark.parametrize("rows", [600, 2], ids=["at a row group", "at the end"])
def test_a_full_disk_takes_the_open_part_and_its_videos_can_come_again(
    rows: int,
    tmp_path: Path,
    manifest: Manifest,
    rows_of: Callable[..., pa.RecordBatch],
    full_disk: FullDisk,
) -> None:
    url = str(tmp_path)
    writer = StoreWriter(url, manifest.schema, part_bytes=2**30)
    writer.add(rows_of("kept", 2))
    writer.flush()
    writer.add(rows_of("lost", 3))
    with full_disk(100), pytest.raises(UsageError, match=rf"^{tmp_path}/part-\w+\.parquet: [^\n]*[Ff]ile too large"):
        fill(writer, rows_of("v", rows))
    assert writer.counts() == Written(videos=1, frames=2)
    assert len(list(tmp_path.iterdir())) == 1
    writer.flush()
    assert Ledger.at(url).done() == {"kept": 2}

    writer.add(rows_of("lost", 3))
    writer.fail(Failure("v", "v.avi", "decode", "VideoError", "no frame", 2))
    writer.flush()
    assert Ledger.at(url).done() == {"kept": 2, "lost": 3}
    assert writer.counts() == Written(videos=2, frames=5, failed=1)


def test_more_parts_than_one_listing_of_s3_shows(s3: str) -> None:
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # the server's own memory: 1100 uploads would take seconds
    names = [f"part-{number:04}.parquet" for number in range(1100)]
    for name in [*names, "manifest.json", "failures/part-0.parquet"]:
        bucket.put_object(s3.removeprefix("s3://"), f"store/{name}", b"x")
    root = Location.at(s3) / "store"
    assert list_parts(root) == [root / name for name in names]


def test_the_rows_of_a_part_take_no_memory_together(tmp_path: Path) -> None:
    path = write_part(tmp_path, 2_000_000)
    with counted() as memory:
        ((_, found),) = read_parts(Location.at(str(tmp_path)), None)
    assert isinstance(found, PartVideos)
    assert (found.path, found.rows, found.partial) == (path, {"v": 2_000_000}, frozenset())
    assert 0 < memory.max_memory() < 4 << 20


@pytest.mark.parametrize(
    ("bomb", "complaint"),
    [
        ({"rows": 1 << 17, "group_rows": 1 << 17}, "a row group claims 131072 rows, more than 65536"),
        ({"rows": 2, "video_id": "v" * (5 << 20)}, r"video_id claims 52\d{5} bytes in a row group, more than 4194304"),
    ],
    ids=["rows", "a name"],
)
def test_what_no_writer_makes_is_damage(bomb: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    write_part(tmp_path, **bomb)
    root = Location.at(str(tmp_path))
    ((_, found),) = read_parts(root, None)
    assert not isinstance(found, PartVideos)
    assert is_damage(found, root)
    assert re.search(complaint, str(found))


def test_the_longest_names_of_single_frames_are_no_damage(tmp_path: Path) -> None:
    root = Location.at(str(tmp_path))
    parts = PartWriter(root, SCHEMA, part_bytes=2**30)
    names = [f"{number:04096}" for number in range(300)]
    for name in names:
        parts.add([batch(name, 1, 1)])
    parts.flush()
    (part,) = list_parts(root)
    assert list(read_part_videos(part, SCHEMA).rows) == names


def test_a_large_row_group_is_read_in_pieces(tmp_path: Path) -> None:
    part = Location.at(write_part(tmp_path, 1000))
    batches = list(read_columns(part, [VIDEO_ID, FRAME]))
    assert max(piece.num_rows for piece in batches) <= ROW_GROUP_ROWS
    assert np.concatenate([piece[FRAME] for piece in batches]).tolist() == list(range(1000))


def test_a_part_is_rewritten_a_row_group_at_a_time(tmp_path: Path) -> None:
    root = Location.at(str(tmp_path))
    path = write_part(tmp_path, 4000, group_rows=256, cells=4096)
    schema = pq.read_schema(path)
    with counted() as memory:
        rewrite_without(root.at_path(path), {"another"})
    assert 0 < memory.max_memory() < 32 << 20
    assert read_part_videos(root.at_path(path), schema).rows == {"v": 4000}
    rewrite_without(root.at_path(path), {"v"})
    assert list_parts(root) == []
