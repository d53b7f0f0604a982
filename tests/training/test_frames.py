"""A frame store becomes a pixel cache: every wanted frame at its place, whatever part it lies in."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.schema import FRAME, IMAGE, LABEL, TIME_S, TRUNCATED, VIDEO_ID
from attn.stages.rows import record_batch
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest, Manifest
from attn.storage.store import FrameStore
from attn.storage.writer import LAST, POSITION, StoreWriter, travelling_schema
from attn.training.frames import cache_frames, first_rows

SIZE = 8
MANIFEST = FrameManifest(SIZE, "test", {"stride": 5})
LENGTHS = {"b": 3, "a": 300, "d": 1, "c": 20}
KEY = "0123456789abcdef"


def images_of(video_id: str) -> np.ndarray:
    random = np.random.default_rng(ord(video_id))
    return random.integers(0, 256, (LENGTHS[video_id], SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Four videos in three parts; one has more frames than a row group."""
    return write_store(str(tmp_path / "frames"))


def write_store(url: str) -> str:
    ledger = Ledger.at(url, FrameManifest)
    ledger.begin(MANIFEST)
    writer = StoreWriter(ledger.url, MANIFEST.schema, part_bytes=2**30)
    for video_id in LENGTHS:
        writer.add(rows_of(video_id))
        if video_id != "d":
            writer.flush()
    writer.flush()
    return ledger.url


def rows_of(video_id: str):
    images, count = images_of(video_id), LENGTHS[video_id]
    position = np.arange(count, dtype=np.int32)
    frames = {
        VIDEO_ID: np.full(count, video_id, object),
        FRAME: position * 5,
        TIME_S: position / np.float32(5),
        LABEL: np.full(count, -1, np.int16),
        POSITION: position,
        LAST: position == count - 1,
        TRUNCATED: np.zeros(count, bool),
        IMAGE: images,
    }
    return record_batch(frames, {IMAGE: images}, travelling_schema(MANIFEST.schema))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_wanted_frame_stands_at_its_place(store: str, tmp_path: Path, threads: int) -> None:
    parts, told = FrameStore.open(store).parts_with({"a", "c", "b"}), []
    assert [sorted(part.rows) for part in sorted(parts, key=lambda part: min(part.rows))] == [["a"], ["b"], ["c"]]
    cache = cache_frames(store, parts, KEY, tmp_path / "cache", threads=threads, tell=told.append)
    np.testing.assert_array_equal(cache.pixels, np.concatenate([images_of(video) for video in "abc"]))
    assert not cache.skipped
    assert told[-1] == 323
    assert first_rows({"c": 20, "a": 300, "b": 3}) == {"a": 0, "b": 300, "c": 303}


def test_a_store_on_s3_is_copied_like_any_other(s3: str, tmp_path: Path) -> None:
    url = write_store(f"{s3}/a[1]/frames")
    parts = FrameStore.open(url).parts_with({"a", "c", "b"})
    cache = cache_frames(url, parts, KEY, tmp_path / "cache", threads=2)
    np.testing.assert_array_equal(cache.pixels, np.concatenate([images_of(video) for video in "abc"]))


def test_a_cache_is_made_once(store: str, tmp_path: Path) -> None:
    parts = FrameStore.open(store).parts_with(LENGTHS)
    first = cache_frames(store, parts, KEY, tmp_path / "cache", threads=1).pixels.copy()
    for part in parts:
        Path(part.path).unlink()
    again = cache_frames(store, parts, KEY, tmp_path / "cache", threads=1, tell=pytest.fail)
    np.testing.assert_array_equal(again.pixels, first)


def test_pixels_take_a_byte_each_before_compression(store: str) -> None:
    part = next(part for part in FrameStore.open(store).parts if "a" in part.rows)
    group = pq.read_metadata(part.path).row_group(0)
    images = next(c for i in range(group.num_columns) if (c := group.column(i)).path_in_schema.startswith(IMAGE))
    assert images.total_uncompressed_size < group.num_rows * SIZE**2 * 3 + 2048  # the dictionary and headers
    assert group.num_rows == 32


def test_a_damaged_part_is_named_with_the_way_out(store: str, tmp_path: Path) -> None:
    parts = FrameStore.open(store).parts_with({"a"})
    content = bytearray(Path(parts[0].path).read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path(parts[0].path).write_bytes(content)
    with pytest.raises(
        UsageError, match=r"is damaged.*--deep --repair to move it to _damaged/, then the same train_cnn"
    ):
        cache_frames(store, parts, KEY, tmp_path / "cache", threads=1)
    assert not (tmp_path / "cache" / KEY).exists()


def test_a_store_that_is_not_there_or_of_another_kind_is_named(tmp_path: Path, store: str) -> None:
    with pytest.raises(UsageError, match="no frame store"):
        cache_frames(str(tmp_path / "nowhere"), (), KEY, tmp_path / "cache", threads=1)
    with pytest.raises(UsageError, match="not a manifest of attention stores"):
        Ledger.at(store, Manifest).manifest()
