"""Records of failed videos and their errors, in `failures/`."""

import dataclasses
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from attn.schema import FAILURE_SCHEMA
from attn.storage.listing import names_in
from attn.storage.location import Location

log = logging.getLogger(__name__)

FOLDER = "failures"
FLUSH_S = 10.0
FILES_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Failure:
    """Failure of one video: the stage, the error and the number of the attempt, from 1."""

    video_id: str
    url: str
    stage: str
    error: str
    message: str
    attempt: int


class FailureLog:
    """Write failures to files of many rows, each atomically, at most every `FLUSH_S` seconds."""

    def __init__(self, store: Location):
        self._folder = store / FOLDER
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
        (self._folder / f"{uuid.uuid4().hex[:16]}.parquet").write_atomic(sink.getvalue().to_pybytes())
        self._waiting.clear()


def read_failures(store: Location) -> dict[str, Failure]:
    """Latest failure of each video that ever failed, by video ID.

    Damaged files are skipped: their videos are then missing from the result, and the next run retries them.
    """
    latest: dict[str, Failure] = {}
    folder = store / FOLDER
    files = [folder / name for name in sorted(names_in(folder)) if name.endswith(".parquet")]
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:  # the files are small, and a remote storage delays each read
        for file, data in zip(files, pool.map(Location.read_bytes, files), strict=True):
            for failure in _failures_in(data, file.path):
                if failure.video_id not in latest or failure.attempt >= latest[failure.video_id].attempt:
                    latest[failure.video_id] = failure
    return latest


def _failures_in(data: bytes, path: str) -> list[Failure]:
    try:
        table = pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
        return [Failure(**row) for row in table.to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        log.warning("%s: unreadable file skipped (%s). Its videos are retried.", path, " ".join(str(error).split()))
        return []
