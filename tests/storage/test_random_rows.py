"""Rows of any video, read by position: equal to those of a pass over the store, and nothing else is read."""

import threading
import time

import numpy as np
import pytest
import s3fs

from attn.errors import UsageError
from attn.storage.bounded_cache import BoundedCache
from attn.storage.random_rows import RowReader, _OpenPart, read_places
from attn.storage.store import AttentionStore
from tests.stores import new_manifest, write_store

COUNTS = {"a": 3, "long": 700, "b/c": 1, "d": 260, "e": 40}
"""The second and the fourth video span row groups."""


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(0)
    return {
        name: {
            "logits": random.normal(size=(count, 3)).astype(np.float32),
            "maps": random.random((count, 3, 4, 4)).astype(np.float16),
        }
        for name, count in COUNTS.items()
    }


@pytest.fixture(scope="module")
def store(videos, tmp_path_factory):
    url = str(tmp_path_factory.mktemp("store"))
    return AttentionStore.open(write_store(url, new_manifest(), videos, labels={"d": 2}, part_bytes=60_000))


@pytest.fixture(scope="module")
def places(store):
    return {one.place.video_id: one.place for one in read_places(store)}


def test_places_are_those_of_all_videos_with_their_small_columns(store, places, videos):
    assert list(places) == store.video_ids
    assert len({place.part for place in places.values()}) > 1
    assert {name: place.count for name, place in places.items()} == COUNTS
    assert {name: place.label for name, place in places.items()} == {**dict.fromkeys(COUNTS), "d": 2}
    for place, logits in read_places(store, "logits"):
        np.testing.assert_array_equal(logits, videos[place.video_id]["logits"])


def test_rows_at_any_positions_are_those_of_a_pass(store, places):
    reader = RowReader(store, ["maps", "logits"])
    for rows in store.videos(["maps", "logits"]):
        count = len(rows.frame)
        for wanted in (slice(None), slice(0, 1), slice(count - 1, count), slice(count // 3, 2 * count // 3 + 1)):
            found = reader.rows(places[rows.video_id], wanted)
            assert (found.video_id, found.label) == (rows.video_id, rows.label)
            np.testing.assert_array_equal(found.frame, rows.frame[wanted])
            np.testing.assert_array_equal(found.time_s, rows.time_s[wanted])
            np.testing.assert_array_equal(found.maps, rows.maps[wanted])
            np.testing.assert_array_equal(found.logits, rows.logits[wanted])
        for found, expected in zip(reader.times(places[rows.video_id]), (rows.frame, rows.time_s), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_only_the_row_group_of_a_frame_is_read_from_s3_and_only_once(s3, videos, monkeypatch):
    """Maps are random, so they hardly shrink: 700 frames take more than 60 KB, and one row group 25 KB."""
    store = AttentionStore.open(write_store(f"{s3}/store", new_manifest(), videos))
    read, fetch = [], s3fs.core.S3File._fetch_range
    monkeypatch.setattr(
        s3fs.core.S3File, "_fetch_range", lambda self, start, end: read.append(end - start) or fetch(self, start, end)
    )
    places = {place.video_id: place for place, _ in read_places(store, "logits")}
    reader = RowReader(store, ["maps"])
    reader.times(places["long"])
    read.clear()
    found = reader.rows(places["long"], slice(400, 401))
    np.testing.assert_array_equal(found.maps, videos["long"]["maps"][400:401])
    assert 20_000 < sum(read) < 30_000
    read.clear()
    reader.rows(places["long"], slice(390, 410))
    assert not read


def test_index_of_a_store_on_s3_leaves_the_maps_out(s3, monkeypatch):
    maps = np.random.default_rng(0).random((1024, 3, 32, 32)).astype(np.float16)
    manifest = new_manifest(map_shape=(32, 32))
    store = AttentionStore.open(
        write_store(f"{s3}/store", manifest, {"v": {"maps": maps, "logits": np.zeros((1024, 3), np.float32)}})
    )
    read, fetch = [], s3fs.core.S3File._fetch_range
    monkeypatch.setattr(
        s3fs.core.S3File, "_fetch_range", lambda self, start, end: read.append(end - start) or fetch(self, start, end)
    )
    monkeypatch.setattr("attn.storage.part_columns.SMALL_READ_BYTES", 1 << 14)
    assert [place.count for place, _ in read_places(store, "logits")] == [1024]
    assert sum(read) < maps.nbytes / 10


def test_several_threads_read_the_same_parts(store, places, videos, monkeypatch):
    monkeypatch.setattr("attn.storage.random_rows.OPEN_PARTS", 1)
    reader = RowReader(store, ["logits"], cache_bytes=0)
    wrong = []

    def read(name):
        for _ in range(20):
            if not np.array_equal(reader.rows(places[name]).logits, videos[name]["logits"]):
                wrong.append(name)

    threads = [threading.Thread(target=read, args=(name,)) for name in COUNTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads_that_want_the_same_rows_read_them_once(store, places, monkeypatch):
    reader, reads, read = RowReader(store, ["maps"]), [], _OpenPart.read

    def slow(self, groups, columns):
        reads.append(groups)
        time.sleep(0.1)
        return read(self, groups, columns)

    monkeypatch.setattr(_OpenPart, "read", slow)
    threads = [threading.Thread(target=reader.rows, args=(places["a"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.times(places["a"])
    assert reads == [[0]]


def test_a_part_that_was_removed_is_one_line(tmp_path, videos):
    store = AttentionStore.open(write_store(str(tmp_path), new_manifest(), {"a": videos["a"]}))
    ((place, _),) = read_places(store)
    next(tmp_path.glob("part-*")).unlink()
    with pytest.raises(UsageError, match=r"part-.*\.parquet"):
        RowReader(store, ["maps"]).rows(place)


def test_a_cache_keeps_what_was_used_last_within_its_bytes():
    cache = BoundedCache[bytes](10, len)
    for key in "abc":
        cache.put(key, b"1234")
    assert cache.get("a") is None
    assert cache.get("b") == b"1234"
    cache.put("d", b"1234")
    assert cache.get("c") is None
    assert cache.get("b") == b"1234"
    cache.put("b", b"12")
    assert cache.bytes == 6
    cache.put("large", bytes(11))
    assert cache.get("large") is None
    assert cache.get_or("new", lambda: b"123") == b"123"
    assert cache.get_or("new", lambda: b"other") == b"123"
