"""Rows on their way to the writer of their video, and what the driver learns of it.

Without torch: decode tasks load this.
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
"""`frames`: how many the writers have taken; `error`: what must end the run, empty if nothing does."""


def deliver(make_rows: Callable[[], pa.RecordBatch], writers: Sequence[Any]) -> Outcome:
    """Makes rows and waits until the writers have taken them.

    So a slow disk slows the work down instead of filling the memory, and what counts as done is in a writer's hands.
    """
    try:
        rows = make_rows()
        ray.get([writers[owner].add.remote(some) for owner, some in _by_writer(rows, len(writers))])
    except RayActorError:
        return failure(WRITER_DIED)
    except Exception as error:  # not one video's fault: the driver ends the run and says why
        return failure(one_line(getattr(error, "cause", error)))
    return {"frames": [rows.num_rows], "error": [""]}


def failure(error: str) -> Outcome:
    """Nothing was taken, because of this."""
    return {"frames": [0], "error": [error]}


def writer_of(video_id: str, writers: int) -> int:
    """Number of the writer that gets all rows of a video."""
    return zlib.crc32(video_id.encode()) % writers


def one_line(error: BaseException) -> str:
    """An error as it is shown, with a way out where one is known; a storage's says all by itself."""
    out_of_memory = getattr(sys.modules.get("torch"), "OutOfMemoryError", ())
    hint = "; lower --batch-size" if isinstance(error, out_of_memory) else ""
    kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())}{hint}"


def _by_writer(rows: pa.RecordBatch, writers: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    owners = np.array([writer_of(video_id, writers) for video_id in rows[VIDEO_ID].to_pylist()])
    for owner in np.unique(owners):
        yield owner, rows.filter(pa.array(owners == owner))


class WriterDiedError(Exception):
    """A writer's process is gone, and with it what it had not written."""


class ComputeError(Exception):
    """The CNN or the store failed, whatever the video."""
