"""A part that cannot be written whole is not written at all, and nobody counts what was in it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from attn.errors import UsageError
from attn.schema import N_FRAMES, VIDEO_ID
from attn.storage.failures import Failure
from attn.storage.filesystem import open_filesystem
from attn.storage.ledger import Ledger
from attn.storage.manifest import Manifest
from attn.storage.parts import PartWriter
from attn.storage.writer import StoreWriter, Written

SCHEMA = pa.schema([pa.field(VIDEO_ID, pa.string()), pa.field(N_FRAMES, pa.int32())])
FullDisk = Callable[[int], contextlib.AbstractContextManager[None]]


def batch(video_id: str, rows: int, n_frames: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({VIDEO_ID: [video_id] * rows, N_FRAMES: [n_frames] * rows}, schema=SCHEMA)


def fill(writer: StoreWriter, rows: pa.RecordBatch) -> None:
    writer.add(rows)
    writer.flush()


def test_half_a_video_is_never_committed(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[pa.RecordBatch]:
        yield batch("half", 300, 600)
        raise OSError("the spool cannot be read")

    parts = PartWriter(*open_filesystem(str(tmp_path)), SCHEMA, part_bytes=2**30)
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
