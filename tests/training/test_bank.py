"""The bank against the store's own reader, on stores that the real writer wrote."""

import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attn.errors import UsageError
from attn.schema import FEATURES, GRID, LOGITS, MAPS
from attn.storage.manifest import Manifest
from attn.storage.part_columns import ROW_GROUP_ROWS
from attn.storage.store import AttentionStore
from attn.training.bank import Bank, bank_bytes, read_bank, select_maps
from attn.training.video_table import VideoTable

# Several parts; videos that span row groups; some of one frame.
VIDEOS = {"a": 3, "b": 300, "c": 1, "d": 600, "e": 70, "f": 1, "g": 256, "h": 9, "i": 2}
LABELS = {"h": 0, "b": 2, "a": 2, "d": 0, "g": 1, "i": 1}  # c, e and f lie in between and are not wanted
PART_BYTES = 20_000


COLUMNS = {MAPS: (3, 2, 3), GRID: (4, 2, 3), FEATURES: (4,), LOGITS: (3,)}


@pytest.fixture
def manifest(new_manifest: Callable[..., Manifest]) -> Manifest:
    return new_manifest(columns=tuple(COLUMNS), map_shape=(2, 3))


@pytest.fixture
def store(make_store) -> AttentionStore:
    opened = AttentionStore.open(make_store(VIDEOS, part_bytes=PART_BYTES))
    assert len(opened.parts) >= 3
    assert any(len(part.rows) > 1 for part in opened.parts)
    assert any(pq.read_metadata(part.path).num_row_groups > 1 for part in opened.parts)
    assert any(count > ROW_GROUP_ROWS for count in VIDEOS.values())
    return opened


def table_of(store: AttentionStore, labels: dict[str, int]) -> VideoTable:
    return VideoTable.of(labels, {v: n for part in store.parts for v, n in part.rows.items()})


def expected(store: AttentionStore, table: VideoTable, column: str = MAPS) -> np.ndarray:
    """Column of the videos of a table, by the store's own reader."""
    values = {rows.video_id: rows.tensors[column] for rows in store.videos([column])}
    return np.concatenate([values[video] for video in table.video_ids])


def same_bits(bank: Bank, values: np.ndarray) -> bool:
    found = bank.values.numpy()
    return (found.shape, found.dtype, found.tobytes()) == (values.shape, values.dtype, values.tobytes())


@pytest.mark.parametrize("column", COLUMNS)
def test_rows_of_any_column_are_in_the_order_of_the_table(store, tmp_path, column):
    table = table_of(store, LABELS)
    for where in ({"threads": 1}, {"threads": 3}, {"most_bytes": 0}, {"cache": tmp_path / "cache"}):
        bank = read_bank([store], table, column, **where)
        assert bank.table is table
        assert bank.values.shape == (table.rows, *COLUMNS[column])
        assert same_bits(bank, expected(store, table, column))


@pytest.mark.parametrize("labels", [{"d": 0}, {"c": 0, "f": 1}, dict.fromkeys(VIDEOS, 1)])
def test_one_video_short_ones_and_all(store, labels):
    table = table_of(store, labels)
    assert same_bits(read_bank([store], table, MAPS, threads=2), expected(store, table))


@pytest.mark.parametrize("most_bytes", [None, 0])
def test_several_stores_make_the_bank_of_one(store, make_store, most_bytes):
    """Also where their videos lie between each other in the table, and one store has none that is wanted."""
    maps = {rows.video_id: rows.maps for rows in store.videos([MAPS])}
    shares = ("afi", "bceh", "dg"), ("hb", "adgi"), ("c", "abdefghi")
    for k, share in enumerate(shares):
        urls = [
            make_store({v: VIDEOS[v] for v in some}, maps=maps, part_bytes=PART_BYTES, name=f"{k}-{some}")
            for some in share
        ]
        table = table_of(store, LABELS)
        bank = read_bank([AttentionStore.open(url) for url in urls], table, MAPS, threads=2, most_bytes=most_bytes)
        assert same_bits(bank, expected(store, table))


def test_a_video_in_two_stores_is_refused_and_one_that_is_not_wanted_is_not(store, make_store):
    """Whose maps were read last would be luck."""
    twice = AttentionStore.open(make_store({"h": 9, "e": 70}, name="twice"))
    complaint = rf"^{store.url} and {twice.url}: 18 frames of h instead of 9 [^\n]+$"
    with pytest.raises(UsageError, match=complaint):
        read_bank([store, twice], table_of(store, {"h": 0}), MAPS, threads=1)
    table = table_of(store, {"a": 0})
    assert same_bits(read_bank([store, twice], table, MAPS, threads=1), expected(store, table))


@pytest.mark.parametrize("workers", [2, 3, 11])
def test_the_banks_of_all_workers_are_the_whole_one(store, workers):
    table = table_of(store, LABELS)
    whole = expected(store, table)
    empty = 0
    for worker in range(workers):
        share, first_row = table.share(worker, workers)
        bank = read_bank([store], share, MAPS, threads=2)
        assert same_bits(bank, whole[first_row : first_row + share.rows])
        empty += not share.video_ids
    assert empty >= workers - len(LABELS)


@pytest.mark.parametrize("most_bytes", [None, 0])
def test_an_empty_table(store, most_bytes):
    bank = read_bank([store], table_of(store, {}), MAPS, threads=2, most_bytes=most_bytes)
    assert bank.values.shape == (0, 3, 2, 3)
    nothing = torch.zeros(4, 0, dtype=torch.int64)
    assert bank.select(nothing).shape == (4, 0, 3, 2, 3)
    assert select_maps(bank, nothing, nothing).shape == (4, 0, 6)


def test_a_bank_that_does_not_fit_is_mapped_from_an_unnamed_file(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "room"))
    (tmp_path / "room").mkdir()
    table = table_of(store, LABELS)
    size = bank_bytes(store, MAPS, table.rows)
    assert size == table.rows * 3 * 2 * 3 * 2
    descriptors = len(os.listdir("/proc/self/fd"))
    for most_bytes, mapped in ((0, True), (size - 1, True), (size, False), (None, False)):
        bank = read_bank([store], table, MAPS, threads=2, most_bytes=most_bytes)
        assert bank.values.nbytes == size
        assert list((tmp_path / "room").iterdir()) == []
        if Path("/proc/self/maps").exists():
            assert (f"{tmp_path}/room/" in Path("/proc/self/maps").read_text()) == mapped
        del bank
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_cached_bank_is_read_once_and_mapped_from_one_file(store, tmp_path):
    table, cache = table_of(store, LABELS), tmp_path / "cache"
    first = read_bank([store], table, MAPS, cache=cache)
    for part in store.parts:
        Path(part.path).unlink()
    again = read_bank([store], table, MAPS, cache=cache)
    assert same_bits(again, first.values.numpy())
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if f"{cache}/maps-" in line]
    assert len(mapped) == 2
    assert len({line.split()[4] for line in mapped}) == 1  # inode


def test_another_column_order_video_or_part_makes_another_cache(store, make_store, tmp_path):
    cache, table = tmp_path / "cache", table_of(store, LABELS)
    other = AttentionStore.open(make_store(VIDEOS, part_bytes=PART_BYTES, name="other"))
    turned = table_of(store, {video_id: -label for video_id, label in LABELS.items()})
    for number, (one, videos, column) in enumerate(
        [
            (store, table, MAPS),
            (store, table, FEATURES),
            (store, turned, MAPS),
            (store, table_of(store, {"a": 2}), MAPS),
            (other, table, MAPS),
        ]
    ):
        assert same_bits(read_bank([one], videos, column, cache=cache), expected(one, videos, column))
        assert len(list(cache.glob("*/values.bin"))) == number + 1


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process can grow beyond 1 KB, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_on_the_disk(store, small_files):
    line = r"^/[^:\n]+: File too large, but column maps needs 0\.0 GB\. Set TMPDIR to [^\n]+$"
    with pytest.raises(UsageError, match=line):
        read_bank([store], table_of(store, LABELS), MAPS, threads=1, most_bytes=0)


def test_a_column_that_a_store_lacks_is_named_with_the_way_to_add_it(store, write_store, new_manifest, tmp_path):
    bare = AttentionStore.open(write_store(str(tmp_path / "bare"), new_manifest(columns=(LOGITS,)), {}))
    line = rf"^{bare.url}: the store lacks grid\. Run precompute into another folder with --columns logits grid\.$"
    with pytest.raises(UsageError, match=line):
        read_bank([store, bare], table_of(store, LABELS), GRID)


def test_stores_with_rows_of_different_shapes_are_refused(store, write_store, new_manifest, tmp_path):
    manifest = new_manifest(columns=(FEATURES, GRID), map_shape=(4, 4))
    other = AttentionStore.open(write_store(str(tmp_path / "other"), manifest, {}))
    line = rf"^{other.url}: grid of shape \[4, 4, 4\], unlike \[4, 2, 3\] in {store.url}\. Give stores [^\n]+$"
    with pytest.raises(UsageError, match=line):
        read_bank([store, other], table_of(store, LABELS), GRID)
    read_bank([store, other], table_of(store, LABELS), FEATURES)


def clean(count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, 3, 2, 3)).astype(np.float16)


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 254, 299])
def test_a_map_that_is_no_number_is_named(make_store, value, position):
    maps = clean(300)
    maps[position, 2, 1, 1] = value
    store = AttentionStore.open(make_store({"a": 5, "b": 300, "c": 4}, maps={"b": maps}))
    complaint = f"{store.url}: maps of b, frame {position * 5}, contain NaN or infinity. Precompute the store again."
    with pytest.raises(UsageError, match=f"^{re.escape(complaint)}$"):
        read_bank([store], table_of(store, {"a": 0, "b": 1}), MAPS, threads=2)
    read_bank([store], table_of(store, {"a": 0, "c": 1}), MAPS, threads=2)  # without the video
    read_bank([store], table_of(store, {"b": 1}), FEATURES, threads=2)


def test_a_zero_with_a_sign_is_a_zero(make_store):
    maps = clean(300)
    maps[100:200, 1] = -0.0
    store = AttentionStore.open(make_store({"a": 5, "b": 300}, maps={"b": maps}))
    bank = read_bank([store], table_of(store, {"b": 0}), MAPS, threads=1)
    assert same_bits(bank, maps)


def test_the_largest_half_float_is_a_number(make_store):
    maps = np.full((2, 3, 2, 3), np.finfo(np.float16).max)
    store = AttentionStore.open(make_store({"a": 2}, maps={"a": maps}))
    assert read_bank([store], table_of(store, {"a": 0}), MAPS, threads=1).values.isfinite().all()


def test_a_damaged_part_is_named_with_the_way_out(store):
    part = Path(store.parts[1].path)
    column = next(
        chunk
        for i in range(99)
        if (chunk := pq.read_metadata(part).row_group(0).column(i)).path_in_schema.startswith("maps")
    )
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
    part.write_bytes(content)
    complaint = (
        rf"^{part}: the part is damaged [^\n]+\. "
        r"Run jobs/verify\.py --deep --repair [^\n]+, then the same precompute [^\n]+$"
    )
    with pytest.raises(UsageError, match=complaint):
        read_bank([store], table_of(store, dict.fromkeys(VIDEOS, 0)), MAPS, threads=2)


def test_a_video_that_stands_in_two_parts_is_read_once(make_store):
    url = make_store({"a": 5, "b": 4}, part_bytes=1)
    first, second = sorted(Path(url).glob("part-*.parquet"))
    for part, name in ((first, "part-z1.parquet"), (second, "part-z2.parquet")):
        (part.parent / name).write_bytes(part.read_bytes())
    store = AttentionStore.open(url)
    table = table_of(store, {"a": 0, "b": 1})
    assert table.rows == 9
    assert same_bits(read_bank([store], table, MAPS, threads=2), expected(store, table))


def test_parts_without_wanted_videos_are_not_read(store):
    table = table_of(store, {"a": 0})
    for part in store.parts:
        if "a" not in part.rows:
            Path(part.path).unlink()
    read_bank([store], table, MAPS, threads=2)


@pytest.mark.parametrize(
    "change", [lambda frames: frames | {"h": 10}, lambda frames: frames | {"h": 8}, lambda frames: frames | {"zz": 3}]
)
def test_a_table_of_another_store_is_refused(store, change):
    """Else a neighbour's rows, or numbers that no one wrote, would pass for maps."""
    frames = change({v: n for part in store.parts for v, n in part.rows.items()})
    table = VideoTable.of({"h": 0, "a": 1} | {v: 1 for v in frames if v == "zz"}, frames)
    with pytest.raises(UsageError, match=rf"^{store.url}[^\n]+(h|zz)[^\n]+$"):
        read_bank([store], table, MAPS, threads=2)


SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)


def bank_of(shape: tuple[int, ...], dtype: type, seed: int) -> Bank:
    values = np.random.default_rng(seed).random(shape).astype(dtype)
    return Bank.of(values, VideoTable(("v",), np.zeros(1, np.int64), np.array(shape[:1])))


@given(st.integers(1, 5), SHAPES, SHAPES, st.sampled_from([np.float16, np.float32]), st.integers(0, 2**31))
def test_selected_rows_equal_those_of_numpy(rows, shape, sample, dtype, seed):
    """Windows of frames are one form of a sample."""
    bank = bank_of((rows, *shape), dtype, seed)
    wanted = np.random.default_rng(seed).integers(0, rows, sample)
    found = bank.select(torch.from_numpy(np.asarray(wanted)))
    np.testing.assert_array_equal(found.numpy(), bank.values.numpy()[wanted].astype(np.float32), strict=True)


@given(st.tuples(*[st.integers(1, 5)] * 4), SHAPES, st.integers(0, 2**31))
def test_selected_maps_equal_those_of_numpy(shape, sample, seed):
    bank, random = bank_of(shape, np.float16, seed), np.random.default_rng(seed)
    wanted = random.integers(0, shape[0], sample), random.integers(0, shape[1], sample)
    found = select_maps(bank, *(torch.from_numpy(np.asarray(some)) for some in wanted))
    expected = bank.values.numpy()[wanted].astype(np.float32).reshape(*sample, -1)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
