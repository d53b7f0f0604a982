"""The decode tasks of precompute. They run in processes of their own, which need no torch and should not load it."""

import dataclasses
import functools
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from attn.schema import VIDEO_ID
from attn.stages.decode import DecodeVideos
from attn.storage.failures import Failure
from attn.video.guard import FrameReader
from attn.video.source import Video

VIDEO_SCHEMA = pa.schema(
    [
        (VIDEO_ID, pa.string()),
        ("url", pa.string()),
        ("label", pa.int16()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("member", pa.string()),
    ]
)


def task_tables(videos: Sequence[Video], per_task: int) -> list[pa.Table]:
    """One table of videos per decode task."""
    rows = [dataclasses.asdict(video) for video in videos]
    starts = range(0, len(rows), per_task)
    return [pa.Table.from_pylist(rows[start : start + per_task], schema=VIDEO_SCHEMA) for start in starts]


def decode(table: pa.Table, *, stage: DecodeVideos, writers: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
    """One decode task: frames go on, failures go to the writer of the video."""
    for item in stage([Video(**row) for row in table.to_pylist()], _reader()):
        if isinstance(item, Failure):
            ray.get(writers[writer_of(item.video_id, len(writers))].fail.remote(item))
        else:
            yield item


def writer_of(video_id: str, writers: int) -> int:
    """Number of the writer that gets all rows of a video."""
    return zlib.crc32(video_id.encode()) % writers


@functools.cache
def _reader() -> FrameReader:
    """The decoder child of this worker process, kept for its next tasks."""
    return FrameReader()
