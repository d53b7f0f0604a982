"""Rows are in the right writer's hands when they count as done, and whatever prevents that is told, not raised."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from attn.engine.dataflow import BATCHES_PER_ACTOR, ComputeActor, rows_done
from attn.engine.decoding import decode_to_writers, task_tables
from attn.engine.delivery import WRITER_DIED, deliver, one_line, writer_of
from attn.engine.placement import Placement
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint
from attn.schema import FRAME, IMAGE, LABEL, LOGITS, TIME_S, TRUNCATED, VIDEO_ID, attention_schema, frames_schema
from attn.stages.attention import ComputeMaps
from attn.stages.decode_videos import DecodeVideos
from attn.storage.writer import LAST, POSITION, travelling_schema
from attn.video.sample import Stride
from attn.video.source import list_videos

ROWS = pa.record_batch({VIDEO_ID: ["a", "a", "b", "c", "c", "c"], "n": np.arange(6)})


class Keeper:
    """A writer that remembers what it got."""

    def __init__(self, fault: str = ""):
        self._fault, self._rows = fault, []

    def add(self, rows: pa.RecordBatch) -> None:
        if self._fault == "die":
            os._exit(1)
        if self._fault:
            raise OSError(self._fault)
        self._rows += rows.to_pylist()

    def fail(self, failure: Any) -> None:
        raise AssertionError(failure)

    def rows(self) -> list[dict]:
        return self._rows


class Gate:
    """A writer that answers nobody until a number of batches are there at the same time, and a little longer."""

    def __init__(self, wanted: int):
        self._wanted, self._open, self._lock = wanted, threading.Event(), threading.Lock()
        self._there = self._most = self._frames = 0

    def add(self, rows: pa.RecordBatch) -> None:
        with self._lock:
            self._there += 1
            self._most = max(self._most, self._there)
            if self._there == self._wanted:
                self._open.set()
        self._open.wait(120)
        self._open.set()  # for the others too, if too few came
        time.sleep(0.3)
        with self._lock:
            self._there -= 1
            self._frames += rows.num_rows

    def seen(self) -> tuple[int, int]:
        """The most batches that were there at the same time, and all frames."""
        return self._most, self._frames


@pytest.fixture
def keepers(ray_local):
    """Starts writers with these faults; ends them after the test."""
    started: list[Any] = []

    def start(*faults: str) -> list[Any]:
        actor = ray_local.remote(num_cpus=0)(Keeper)
        started.extend(actor.remote(fault) for fault in faults)
        return started

    yield start
    for keeper in started:
        ray_local.kill(keeper)


def test_each_writer_gets_all_rows_of_its_videos(ray_local, keepers) -> None:
    writers = keepers("", "", "")
    assert deliver(lambda: ROWS, writers) == {"frames": [6], "error": [""]}
    got = [ray_local.get(writer.rows.remote()) for writer in writers]
    for owner, rows in enumerate(got):
        assert rows == [row for row in ROWS.to_pylist() if writer_of(row[VIDEO_ID], 3) == owner]


def test_a_dead_writer_a_full_disk_and_rows_that_cannot_be_made_are_told(keepers) -> None:
    assert deliver(lambda: ROWS, keepers("die")) == {"frames": [0], "error": [WRITER_DIED]}
    outcome = deliver(lambda: ROWS, keepers("no room\nleft")[1:])
    assert outcome == {"frames": [0], "error": ["OSError: no room left"]}

    def broken() -> pa.RecordBatch:
        raise FloatingPointError("maps of a are not finite")

    assert deliver(broken, []) == {"frames": [0], "error": ["FloatingPointError: maps of a are not finite"]}


def test_a_decode_task_sends_every_frame_and_stops_at_the_first_trouble(ray_local, keepers, clip_folder) -> None:
    stage, schema = DecodeVideos(Stride(5), 16, batch_size=8), travelling_schema(frames_schema(16))
    (table,) = task_tables(list_videos(str(clip_folder)), 100)
    (writer,) = keepers("")
    outcomes = list(decode_to_writers(table, stage=stage, writers=[writer], schema=schema))
    frames = sum(-(-length // 5) for length in (1, 4, 23, 60, 130, 37))
    assert sum(outcome["frames"][0] for outcome in outcomes) == frames
    assert len(outcomes) == -(-frames // 8)
    rows = ray_local.get(writer.rows.remote())
    assert len({(row[VIDEO_ID], row["frame"]) for row in rows}) == len(rows) == frames
    full = keepers("no room")[1:]
    assert list(decode_to_writers(table, stage=stage, writers=full, schema=schema)) == [
        {"frames": [0], "error": ["OSError: no room"]}
    ]


def test_a_storage_s_own_words_stand_alone() -> None:
    assert one_line(UsageError("/store: no room left")) == "/store: no room left"
    assert one_line(KeyError("a\nbug")) == "KeyError: 'a\\nbug'"


@pytest.mark.parametrize(("isolated", "most"), [(False, BATCHES_PER_ACTOR), (True, 1)])
def test_the_cnn_goes_on_while_earlier_batches_wait_for_a_writer(
    ray_local, clip_folder: Path, small_weights: Path, isolated: bool, most: int
) -> None:
    """An actor never has more batches than it may; in a retry, one that dies takes a single batch with it."""
    gate = ray_local.remote(num_cpus=0, max_concurrency=100)(Gate).remote(most)
    schema = attention_schema([LOGITS], num_classes=3, num_channels=1, map_shape=(1, 1))
    done = rows_done(
        list_videos(str(clip_folder)),
        stage=DecodeVideos(Stride(1), 64, batch_size=16),
        compute=ComputeMaps,
        model=ray_local.put(load_checkpoint(str(small_weights))),
        settings={"columns": [LOGITS], "precision": "fp32", "device": "cpu"},
        schema=schema,
        writers=[gate],
        placement=Placement((1, 1), 0, 0.75, 0.25, 2, 1),
        isolated=isolated,
    )
    frames = sum(done)
    assert ray_local.get(gate.seen.remote()) == (most, frames)
    assert frames == 1 + 4 + 23 + 60 + 130 + 37
    ray_local.kill(gate)


def test_the_cnn_computes_one_batch_at_a_time(ray_local, keepers) -> None:
    there: list[int] = []
    at_once: list[int] = []

    class Cnn:
        def __init__(self, *_: Any, **__: Any): ...

        def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
            there.append(1)
            time.sleep(0.05)
            at_once.append(len(there))
            there.pop()
            return {LOGITS: np.zeros((len(images), 3), np.float32)}

    schema = attention_schema([LOGITS], num_classes=3, num_channels=1, map_shape=(1, 1))
    actor = ComputeActor(Cnn, ray_local.put(None), {}, schema, keepers(""))
    frames = {
        VIDEO_ID: np.array(["a"], object),
        LABEL: np.zeros(1, np.int16),
        FRAME: np.zeros(1, np.int32),
        TIME_S: np.zeros(1, np.float32),
        POSITION: np.zeros(1, np.int32),
        LAST: np.ones(1, bool),
        TRUNCATED: np.zeros(1, bool),
        IMAGE: np.zeros((1, 4, 4, 3), np.uint8),
    }
    with ThreadPoolExecutor(BATCHES_PER_ACTOR) as threads:
        outcomes = list(threads.map(actor, [frames] * 2 * BATCHES_PER_ACTOR))
    assert outcomes == 2 * BATCHES_PER_ACTOR * [{"frames": [1], "error": [""]}]
    assert at_once == 2 * BATCHES_PER_ACTOR * [1]
