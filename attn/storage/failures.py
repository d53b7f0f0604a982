"""`failures/`: the videos that could not be turned into rows, and why."""

import dataclasses
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from attn.schema import FAILURE_SCHEMA
from attn.storage.filesystem import write_atomic
from attn.storage.listing import names_in

FOLDER = "failures"
FLUSH_S = 10.0


@dataclasses.dataclass(frozen=True)
class Failure:
    """One video that failed: at which stage, with what error, at which attempt (from 1)."""

    video_id: str
    url: str
    stage: str
    error: str
    message: str
    attempt: int


class FailureLog:
    """Writes failures in files of many rows, each atomically, at most every `FLUSH_S` seconds."""

    def __init__(self, fs: AbstractFileSystem, root: str):
        self._fs, self._folder = fs, f"{root}/{FOLDER}"
        self._waiting: list[Failure] = []
        self._flushed_s = time.monotonic()

    def add(self, failure: Failure) -> None:
        self._waiting.append(failure)
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        self._flushed_s = time.monotonic()
        if not self._waiting:
            return
        table = pa.Table.from_pylist([dataclasses.asdict(row) for row in self._waiting], schema=FAILURE_SCHEMA)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_atomic(self._fs, f"{self._folder}/{uuid.uuid4().hex[:16]}.parquet", sink.getvalue().to_pybytes())
        self._waiting.clear()


def read_failures(fs: AbstractFileSystem, root: str) -> dict[str, Failure]:
    """The latest failure of every video that ever failed, by video id."""
    latest: dict[str, Failure] = {}
    folder = f"{root}/{FOLDER}"
    for name in sorted(name for name in names_in(fs, folder) if name.endswith(".parquet")):
        with fs.open(f"{folder}/{name}", "rb") as file:
            for row in pq.read_table(file).to_pylist():
                failure = Failure(**row)
                if failure.video_id not in latest or failure.attempt >= latest[failure.video_id].attempt:
                    latest[failure.video_id] = failure
    return latest
