"""The chain of precompute on Ray Data: videos → frames (CPU tasks) → maps (actor pool) → writers.

Rows do not come back to the driver: every actor sends them to the writer of their video, and only the number of
frames returns. Ray Data keeps the pool busy and holds decoding back when the pool is slower.
"""

import functools
import logging
import warnings
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import torch
from ray.data import ActorPoolStrategy, DataContext
from ray.data import ExecutionResources as Limits
from ray.exceptions import RayActorError
from ray.util.annotations import RayDeprecationWarning

from attn.engine.decoding import decode, task_tables, writer_of
from attn.engine.placement import Placement
from attn.schema import VIDEO_ID
from attn.stages.attention import ComputeMaps, record_batch
from attn.stages.decode import IMAGE, DecodeVideos
from attn.storage.writer import travelling_schema
from attn.video.source import Video

WRITER_DIED = "a writer died"

# Batches in the object store: enough that no actor waits for the next one, few enough that memory stays small.
IN_FLIGHT_PER_DECODE = 4
IN_FLIGHT_PER_ACTOR = 4


class AttentionActor:
    """One CNN on one GPU (or CPU core), which hands what it computes to the writers.

    It waits until they have taken it: a slow disk slows the pool down instead of filling the memory, and a batch
    that counts as done is in a writer's hands.
    """

    def __init__(self, cnn: Any, settings: dict[str, Any], schema: pa.Schema, writers: Sequence[Any]):
        self._schema = travelling_schema(schema)
        self._writers = writers
        self._broken = ""
        try:
            self._compute = ComputeMaps(ray.get(cnn), **settings)
        except Exception as error:  # Ray would start this actor again and again, and say nothing
            self._broken = _one_line(error)

    def __call__(self, frames: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Number of frames done, and the error that must end the run if there was one."""
        if self._broken:
            return {"frames": [0], "error": [self._broken]}
        try:
            rows = record_batch(frames, self._compute(frames[IMAGE]), self._schema)
            ray.get([self._writers[owner].add.remote(some) for owner, some in self._by_writer(rows)])
        except RayActorError:
            return {"frames": [0], "error": [WRITER_DIED]}
        except Exception as error:  # not one video's fault: the driver ends the run and says why
            return {"frames": [0], "error": [_one_line(getattr(error, "cause", error))]}
        return {"frames": [rows.num_rows], "error": [""]}

    def _by_writer(self, rows: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        owners = np.array([writer_of(video_id, len(self._writers)) for video_id in rows[VIDEO_ID].to_pylist()])
        for owner in np.unique(owners):
            yield owner, rows.filter(pa.array(owners == owner))


def _one_line(error: BaseException) -> str:
    hint = "; lower --batch-size" if isinstance(error, torch.OutOfMemoryError) else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{hint}"


def _limit_memory(context: DataContext, batch_bytes: int, placement: Placement) -> None:
    """Bounds what runs ahead of the pool, so that memory does not grow with the number of videos.

    A block is exactly one batch: the generator yields full batches, and Ray closes a block with the first yield
    that passes nine tenths of one.
    """
    context.target_max_block_size = int(0.9 * batch_bytes)
    batches = IN_FLIGHT_PER_DECODE * placement.decode_tasks + IN_FLIGHT_PER_ACTOR * placement.actors[1]
    context.execution_options.resource_limits = Limits.for_limits(object_store_memory=batches * batch_bytes)


def frames_done(
    videos: Sequence[Video],
    *,
    stage: DecodeVideos,
    cnn: Any,
    settings: dict[str, Any],
    schema: pa.Schema,
    writers: Sequence[Any],
    placement: Placement,
    videos_per_task: int,
) -> Generator[int, None, None]:
    """Runs the videos through the chain and yields the number of frames of each batch that a writer has taken.

    Args:
        videos: what to do.
        stage: how to decode.
        cnn: reference to the `Cnn` in the object store.
        settings: of `ComputeMaps`.
        schema: of the store's parts.
        writers: actors.
        placement: resources.
        videos_per_task: videos of one decode task; 1 isolates a video that kills its worker.

    Raises:
        WriterDiedError: try again with new writers.
        ComputeError: the CNN or the store failed; the message says how.
    """
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what dies with a process is dropped here; its videos are tried again, each alone
    _limit_memory(context, stage.batch_size * stage.size**2 * 3, placement)
    task = functools.partial(decode, stage=stage, writers=writers)
    with DataContext.current(context), warnings.catch_warnings():
        # Retries can only be set in this way in this version; Ray's default is to try for ever.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        frames = ray.data.from_arrow(task_tables(videos, videos_per_task)).map_batches(
            task, batch_size=None, batch_format="pyarrow", num_cpus=placement.decode_cpus, max_retries=0
        )
        chain = frames.map_batches(
            AttentionActor,
            fn_constructor_args=(cnn, settings, schema, writers),
            batch_size=stage.batch_size,
            batch_format="numpy",
            compute=ActorPoolStrategy(min_size=placement.actors[0], max_size=placement.actors[1]),
            num_cpus=placement.cpus_per_actor,
            num_gpus=placement.gpus_per_actor,
            # Without restarts the pool keeps its dead in the count, and with the last one the run stands still. What
            # an actor held when it died is not tried again at once: it may be what killed it.
            max_restarts=-1,
            max_task_retries=0,
        )
    _quiet_console()
    for row in chain.iter_rows():
        if row["error"] == WRITER_DIED:
            raise WriterDiedError
        if row["error"]:
            raise ComputeError(row["error"])
        yield row["frames"]


def _quiet_console() -> None:
    """Ray Data's own messages stay in its log files: the job says itself what its user should know."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.get_name() == "console":
            handler.setLevel(logging.CRITICAL)


class WriterDiedError(Exception):
    """A writer's process is gone, and with it what it had not written."""


class ComputeError(Exception):
    """The CNN or the store failed, whatever the video."""
