"""Delivery of rows to the writer of their video, and the outcome reported to the driver.

This module does not import torch, because decode tasks import it.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.exceptions import RayActorError

from attn.errors import UsageError
from attn.schema import VIDEO_ID

WRITER_DIED = "a writer died"

Outcome = dict[str, list[Any]]
"""`frames`: number of frames received by the writers; `error`: reason to stop the run, or an empty string."""


def deliver(make_rows: Callable[[], pa.RecordBatch], writers: Sequence[Any]) -> Outcome:
    """Make rows and wait until the writers have received them.

    Waiting makes a slow disk slow the work down instead of filling memory. Only received frames count as done.
    """
    try:
        rows = make_rows()
        ray.get([writers[owner].add.remote(some) for owner, some in _by_writer(rows, len(writers))])
    except RayActorError:
        return failure(WRITER_DIED)
    except Exception as error:  # not caused by a single video: the driver stops the run and reports the reason
        return failure(one_line(getattr(error, "cause", error)))
    return {"frames": [rows.num_rows], "error": [""]}


def failure(error: str) -> Outcome:
    """Outcome for rows that were not delivered."""
    return {"frames": [0], "error": [error]}


def writer_of(video_id: str, writers: int) -> int:
    """Index of the writer that receives all rows of a video."""
    return zlib.crc32(video_id.encode()) % writers


def one_line(error: BaseException) -> str:
    """Format an error as one line, with a hint if the GPU is out of memory."""
    out_of_memory = getattr(sys.modules.get("torch"), "OutOfMemoryError", ())
    hint = "; lower --batch-size" if isinstance(error, out_of_memory) else ""
    kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())}{hint}"


def _by_writer(rows: pa.RecordBatch, writers: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    owners = np.array([writer_of(video_id, writers) for video_id in rows[VIDEO_ID].to_pylist()])
    for owner in np.unique(owners):
        yield owner, rows.filter(pa.array(owners == owner))


class WriterDiedError(Exception):
    """A writer process died, and its unwritten rows are lost."""


class ComputeError(Exception):
    """The CNN or the store failed, independently of the video."""
