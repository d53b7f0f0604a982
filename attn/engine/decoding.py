"""Decode tasks. They run in separate processes that do not need torch and should not load it.

Ray Data's `read_videos` is not used: it decodes every frame with decord, in a process that a video may crash, and does
not support a stride (docs/ray.md).
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from attn.engine.delivery import Outcome, deliver, writer_of
from attn.schema import FRAME, IMAGE, VIDEO_ID
from attn.stages.decode_videos import DecodeVideos
from attn.stages.frame_sample import FrameSample, sample_videos
from attn.stages.rows import Tensors, pixels, record_batch
from attn.storage.failures import Failure
from attn.video.sandbox.guard import FrameReader
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
# One row per video, with all pixels in one value: Ray splits blocks between rows, so a sample is never split.
SAMPLE_SCHEMA = pa.schema(
    [(VIDEO_ID, pa.string()), (FRAME, pa.binary()), (IMAGE, pa.large_binary()), ("failure", pa.string())]
)


def task_tables(videos: Sequence[Video], per_task: int) -> list[pa.Table]:
    """Split videos into one table per decode task."""
    rows = [dataclasses.asdict(video) for video in videos]
    starts = range(0, len(rows), per_task)
    return [pa.Table.from_pylist(rows[start : start + per_task], schema=VIDEO_SCHEMA) for start in starts]


def decode(table: pa.Table, *, stage: DecodeVideos, writers: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
    """Run one decode task: yield frames, and send failures to the writer of the video."""
    for item in stage([Video(**row) for row in table.to_pylist()], _reader()):
        if isinstance(item, Failure):
            ray.get(writers[writer_of(item.video_id, len(writers))].fail.remote(item))
        else:
            yield item


def decode_to_writers(
    table: pa.Table, *, stage: DecodeVideos, writers: Sequence[Any], schema: pa.Schema, tensors: Tensors = pixels
) -> Iterator[Outcome]:
    """Run one decode task and send its rows to the writers.

    Args:
        table: table from `task_tables`.
        stage: decoding stage.
        writers: writer actors.
        schema: `travelling_schema` of the store.
        tensors: computation of the tensor columns.
    """
    for frames in decode(table, stage=stage, writers=writers):
        outcome = deliver(functools.partial(_rows, frames, tensors, schema), writers)
        yield outcome
        if outcome["error"][0]:
            return


def _rows(frames: dict[str, np.ndarray], tensors: Tensors, schema: pa.Schema) -> pa.RecordBatch:
    return record_batch(frames, tensors(frames[IMAGE]), schema)


def decode_samples(table: pa.Table, *, stage: DecodeVideos, per_video: int) -> Iterator[pa.Table]:
    """Run one decode task and yield a row of `SAMPLE_SCHEMA` per video, for the driver.

    Args:
        table: table from `task_tables`.
        stage: decoding stage.
        per_video: number of frames per video.
    """
    videos = [Video(**row) for row in table.to_pylist()]
    for item in sample_videos(videos, _reader(), stage=stage, per_video=per_video):
        if isinstance(item, Failure):
            row = {"failure": json.dumps(dataclasses.asdict(item))}
        else:
            row = {VIDEO_ID: item.video_id, FRAME: item.frames.tobytes(), IMAGE: item.images.tobytes()}
        yield pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA)


def sample_of(row: dict[str, Any], size: int) -> FrameSample | Failure:
    """Parse a row of `SAMPLE_SCHEMA`; frames are `size` pixels wide and high."""
    if row["failure"] is not None:
        return Failure(**json.loads(row["failure"]))
    images = np.frombuffer(row[IMAGE], np.uint8).reshape(-1, size, size, 3)
    return FrameSample(row[VIDEO_ID], np.frombuffer(row[FRAME], np.int32), images)


@functools.cache
def _reader() -> FrameReader:
    """Decoder child of this worker process, reused by later tasks."""
    return FrameReader()
