"""Rows wait for their turn in a file, not in memory, and come out once and in order."""

import contextlib
import tracemalloc
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pytest

from attn.errors import UsageError
from attn.storage.assembler import SPOOL_BYTES, Assembler, Rows, Spool

FullDisk = Callable[[int], contextlib.AbstractContextManager[None]]

ROW_BYTES = 16 * 2**10
SCHEMA = pa.schema([pa.field("position", pa.int32()), pa.field("payload", pa.binary(ROW_BYTES))])


def rows(position: int, count: int, n_frames: int, video_id: str = "v") -> Rows:
    """Rows whose payload is their position, over and over."""
    positions = np.arange(position, position + count, dtype=np.int32)
    payload = np.repeat(positions, ROW_BYTES // 4).tobytes()
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(ROW_BYTES), count, [None, pa.py_buffer(payload)])
    batch = pa.RecordBatch.from_arrays([pa.array(positions), column], schema=SCHEMA)
    return Rows(video_id, position, batch, last=position + count == n_frames)


class Delivered:
    """Takes whole videos and notes the positions of their rows."""

    def __init__(self) -> None:
        self.positions: dict[str, list[int]] = {}

    def __call__(self, video_id: str, spool: Spool, truncated: bool) -> None:
        assert video_id not in self.positions
        self.positions[video_id] = []
        for batch in spool.drain():
            found = batch["position"].to_pylist()
            for position, payload in zip(found, batch["payload"].to_pylist(), strict=True):
                assert payload == np.int32(position).tobytes() * (ROW_BYTES // 4)
            self.positions[video_id] += found
        assert spool.rows == len(self.positions[video_id])


def held_bytes() -> int:
    return tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes()


def feed(assembler: Assembler, many: Iterable[Rows]) -> int:
    """Most memory held after any of the additions, beyond what was held before."""
    tracemalloc.start()
    try:
        before, most = held_bytes(), 0
        for some in many:
            assembler.add(some)
            most = max(most, held_bytes() - before)
        return most
    finally:
        tracemalloc.stop()


def test_thousands_of_early_rows_do_not_fill_the_memory() -> None:
    delivered, n_frames = Delivered(), 4000
    assembler = Assembler(SCHEMA, delivered)
    held = feed(assembler, (rows(position, 8, n_frames) for position in range(8, n_frames, 8)))
    assert held < 2 * SPOOL_BYTES < ROW_BYTES * n_frames / 3
    assert delivered.positions == {}
    assembler.add(rows(0, 8, n_frames))
    assert delivered.positions == {"v": list(range(n_frames))}


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_and_again_come_out_once_in_order(seed: int) -> None:
    delivered, n_frames = Delivered(), 1500
    assembler = Assembler(SCHEMA, delivered)
    places = [(video_id, position) for video_id in ("a", "b") for position in range(0, n_frames, 5)]
    order = np.random.default_rng(seed).permutation(len(places) * 2) % len(places)
    for video_id, position in (places[i] for i in order):
        assembler.add(rows(position, 5, n_frames, video_id))
    assert delivered.positions == {"a": list(range(n_frames)), "b": list(range(n_frames))}
    assert assembler.unfinished == []


def test_rows_seen_twice_cost_no_room() -> None:
    spool = Spool(SCHEMA)
    for _ in range(3):
        spool.add(8, rows(8, 8, 100).batch)
    assert spool.rows == 0
    assert spool.bytes < 1.1 * 8 * ROW_BYTES
    spool.close()


def test_a_video_that_has_no_room_can_come_again(full_disk: FullDisk) -> None:
    delivered, n_frames = Delivered(), 1000
    assembler = Assembler(SCHEMA, delivered)
    starts = range(0, n_frames, 8)
    with full_disk(SPOOL_BYTES + 1000), pytest.raises(UsageError, match=r"[Ff]ile too large"):
        feed(assembler, (rows(position, 8, n_frames) for position in starts))
    assert assembler.unfinished == []
    for position in starts:
        assembler.add(rows(position, 8, n_frames))
    assert delivered.positions == {"v": list(range(n_frames))}
