"""Whatever order rows come in, a store holds each frame of each video once, in order."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attn.storage.failures import Failure, read_failures
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.part_columns import ROW_GROUP_ROWS
from attn.storage.store import AttentionStore
from attn.storage.writer import StoreWriter

LENGTHS = {"a b.c": 3, "ü": 1, "v_Wave_g01_c01": 40, "long": 700}


def test_store_holds_every_frame_once_in_order(
    tmp_path: Path,
    manifest: Manifest,
    shuffled_chunks: Callable[..., Iterator[pa.RecordBatch]],
    expected: Callable[[str, int], dict[str, np.ndarray]],
) -> None:
    for seed in range(5):
        url = str(tmp_path / f"store{seed}")
        Ledger.at(url).begin(manifest)
        writer = StoreWriter(url, manifest.schema, part_bytes=20_000)
        for batch in shuffled_chunks(LENGTHS, seed):
            writer.add(batch)
        writer.flush()

        store = AttentionStore.open(url, allow_partial=True)
        seen = {}
        for video in store.videos(["maps", "logits", "features"]):
            assert video.video_id not in seen
            seen[video.video_id] = len(video.frame)
            np.testing.assert_array_equal(video.frame, np.arange(len(video.frame)) * 5)
            for name, values in expected(video.video_id, len(video.frame)).items():
                np.testing.assert_array_equal(video.tensors[name], values)
        assert seen == LENGTHS
        assert len(store.parts) > 1
        assert writer.counts().videos == len(LENGTHS)
        assert writer.counts().frames == sum(LENGTHS.values())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_any_lengths_and_cuts(
    lengths: list[int],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
    manifest: Manifest,
    shuffled_chunks: Callable[..., Iterator[pa.RecordBatch]],
) -> None:
    url = str(tmp_path_factory.mktemp("store"))
    wanted = {f"v{i}": n for i, n in enumerate(lengths)}
    writer = StoreWriter(url, manifest.schema, part_bytes=1)
    for batch in shuffled_chunks(wanted, seed):
        writer.add(batch)
    writer.flush()
    assert Ledger.at(url).done() == wanted


def test_rows_of_a_part_are_contiguous_and_grouped(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=2**30)
    for i in range(9):
        writer.add(rows_of(f"v{i}", 100))
    writer.flush()
    (part,) = tmp_path.glob("part-*.parquet")
    metadata = pq.read_metadata(part)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sizes == [ROW_GROUP_ROWS] * 3 + [900 - 3 * ROW_GROUP_ROWS]
    ids = pq.read_table(part)["video_id"].to_pylist()
    assert ids == sorted(ids)


def test_a_failed_video_leaves_no_row(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    failure = Failure("bad", "x/bad.avi", "decode", "VideoError", "no frame", 1)
    writer.add(rows_of("bad", 9, 0, 4))
    writer.fail(failure)
    writer.fail(failure)
    writer.add(rows_of("bad", 9, 4, 9))
    writer.add(rows_of("good", 2))
    writer.flush()
    root = Location.at(str(tmp_path))
    assert Ledger.at(str(tmp_path)).done() == {"good": 2}
    assert read_failures(root) == {"bad": failure}
    assert writer.counts().failed == 1


def test_failure_after_delivery_is_ignored(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    writer.add(rows_of("v", 2))
    writer.fail(Failure("v", "v.avi", "decode", "VideoError", "late", 1))
    writer.flush()
    assert Ledger.at(str(tmp_path)).done() == {"v": 2}
    assert writer.counts().failed == 0


def test_unfinished_videos_are_not_written_and_can_be_tried_again(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    writer.add(rows_of("v", 10, 0, 6))
    writer.flush()
    assert Ledger.at(str(tmp_path)).done() == {}
    writer.add(rows_of("v", 10))
    writer.flush()
    assert Ledger.at(str(tmp_path)).done() == {"v": 10}


def test_truncated_and_missing_label_reach_the_reader(
    tmp_path: Path, manifest: Manifest, rows_of: Callable[..., pa.RecordBatch]
) -> None:
    Ledger.at(str(tmp_path)).begin(manifest)
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    writer.add(rows_of("cut", 5, 0, 3))
    writer.add(rows_of("cut", 5, 3, 5, truncated=True))
    writer.add(rows_of("unknown", 1, label=None))
    writer.flush()
    found = {v.video_id: v for v in AttentionStore.open(str(tmp_path), allow_partial=True).videos([])}
    assert found["cut"].truncated
    assert not found["unknown"].truncated
    assert found["unknown"].label is None
    assert found["cut"].label == 1


def test_common_libraries_read_the_parts(
    tmp_path: Path,
    manifest: Manifest,
    rows_of: Callable[..., pa.RecordBatch],
    expected: Callable[[str, int], dict[str, np.ndarray]],
) -> None:
    writer = StoreWriter(str(tmp_path), manifest.schema, part_bytes=1)
    writer.add(rows_of("v", 3))
    writer.flush()
    (part,) = tmp_path.glob("part-*.parquet")
    maps = expected("v", 3)["maps"].reshape(3, -1)
    np.testing.assert_array_equal(np.stack(pd.read_parquet(part)["maps"].to_list()), maps)
    np.testing.assert_array_equal(pl.read_parquet(part)["maps"].to_numpy(), maps)
    rows = duckdb.sql(f"select maps from '{part}' order by frame").fetchall()  # noqa: S608
    np.testing.assert_array_equal(np.array([row[0] for row in rows], np.float16), maps)
    field = pq.read_schema(part).field("maps")
    assert field.metadata == {b"shape": b"[3, 2, 3]", b"axes": b"cls row col"}
