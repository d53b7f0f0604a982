"""Rows are in the right writer's hands when they count as done, and whatever prevents that is told, not raised."""

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from attn.engine.decoding import decode_to_writers, task_tables
from attn.engine.delivery import WRITER_DIED, deliver, one_line, writer_of
from attn.errors import UsageError
from attn.schema import VIDEO_ID, frames_schema
from attn.stages.decode_videos import DecodeVideos
from attn.storage.writer import travelling_schema
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
