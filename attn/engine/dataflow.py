"""The chains on Ray Data that fill a store: videos → frames (CPU tasks) → maps (actor pool) → writers.

Rows do not come back to the driver: whoever makes them sends them to the writer of their video, and only the number of
frames returns. Ray Data keeps the pool busy and holds decoding back when the pool is slower. A frame store needs no
pool: the decode tasks themselves wait for the writers. A sample of a few frames fills no store and does come back.
"""

import contextlib
import functools
import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data import ExecutionResources as Limits
from ray.util.annotations import RayDeprecationWarning

from attn.engine.console import silence_restart_notice
from attn.engine.decoding import decode, decode_samples, decode_to_writers, sample_of, task_tables
from attn.engine.delivery import WRITER_DIED, ComputeError, Outcome, WriterDiedError, deliver, failure, one_line
from attn.engine.placement import Placement
from attn.fault_points import reach
from attn.models.torchvision_models import load_torchvision
from attn.schema import VIDEO_ID
from attn.stages.attention import ComputeMaps
from attn.stages.decode import IMAGE, DecodeVideos
from attn.stages.frame_sample import FrameSample
from attn.stages.rows import record_batch
from attn.storage.failures import Failure
from attn.storage.writer import travelling_schema
from attn.video.source import Video

# Batches in the object store: enough that no actor waits for the next one, few enough that memory stays small.
IN_FLIGHT_PER_DECODE = 4
IN_FLIGHT_PER_ACTOR = 4
# Ray's own strategy fills machines without a GPU before the others with what needs none. Ray Data would spread it over
# all of them.
CPU_NODES_FIRST = "DEFAULT"


class AttentionActor:
    """One CNN on one GPU (or CPU core), which hands what it computes to the writers."""

    def __init__(self, cnn: Any, settings: dict[str, Any], schema: pa.Schema, writers: Sequence[Any]):
        self._schema = travelling_schema(schema)
        self._writers = writers
        self._broken = ""
        try:
            load_torchvision()  # before the CNN brings it
            self._compute = ComputeMaps(ray.get(cnn), **settings)
        except Exception as error:  # Ray would start this actor again and again, and say nothing
            self._broken = one_line(error)

    def __call__(self, frames: dict[str, np.ndarray]) -> Outcome:
        if self._broken:
            return failure(self._broken)
        reach("maps", frames[VIDEO_ID][0])
        return deliver(lambda: record_batch(frames, self._compute(frames[IMAGE]), self._schema), self._writers)


def maps_done(
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
    """Computes the maps of videos and yields the number of frames of each batch that a writer has taken.

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
    batch_bytes = stage.batch_size * stage.size**2 * 3
    # A block is exactly one batch: the generator yields full batches, and Ray closes a block with the first yield that
    # passes nine tenths of one. What runs ahead of the pool is bounded: memory does not grow with the number of videos.
    with _settings(block_bytes=int(0.9 * batch_bytes)) as context:
        batches = IN_FLIGHT_PER_DECODE * placement.decode_tasks + IN_FLIGHT_PER_ACTOR * placement.actors[1]
        context.execution_options.resource_limits = Limits.for_limits(object_store_memory=batches * batch_bytes)
        task = functools.partial(decode, stage=stage, writers=writers)
        chain = _decoding(videos, task, placement, videos_per_task).map_batches(
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
            scheduling_strategy=CPU_NODES_FIRST,
        )
    silence_restart_notice()
    yield from _frames_taken(chain)


def frames_done(
    videos: Sequence[Video],
    *,
    stage: DecodeVideos,
    schema: pa.Schema,
    writers: Sequence[Any],
    placement: Placement,
    videos_per_task: int,
) -> Generator[int, None, None]:
    """The same with the frames themselves: arguments and errors as of `maps_done`."""
    with _settings(block_bytes=1):  # so that the driver hears of every batch at once
        task = functools.partial(decode_to_writers, stage=stage, writers=writers, schema=travelling_schema(schema))
        chain = _decoding(videos, task, placement, videos_per_task)
    yield from _frames_taken(chain)


def samples_done(
    videos: Sequence[Video], *, stage: DecodeVideos, per_video: int, placement: Placement, videos_per_task: int
) -> Iterator[FrameSample | Failure]:
    """Samples videos and yields what came of each, in any order; one whose task died is missing.

    The only chain whose pixels come to the driver: few, and no more at a time than its decode tasks make.

    Args:
        videos: what to do.
        stage: how to decode.
        per_video: frames of each.
        placement: resources.
        videos_per_task: as of `maps_done`.
    """
    with _settings(block_bytes=1) as context:
        sample_bytes = per_video * stage.size**2 * 3
        most_bytes = IN_FLIGHT_PER_DECODE * placement.decode_tasks * sample_bytes
        context.execution_options.resource_limits = Limits.for_limits(object_store_memory=most_bytes)
        task = functools.partial(decode_samples, stage=stage, per_video=per_video)
        chain = _decoding(videos, task, placement, videos_per_task)
    _quiet_console()
    for row in chain.iter_rows():
        yield sample_of(row, stage.size)


@contextlib.contextmanager
def _settings(*, block_bytes: int) -> Iterator[DataContext]:
    """Those of the chains that are built inside."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what dies with a process is dropped here; its videos are tried again, each alone
    context.target_max_block_size = block_bytes
    with DataContext.current(context), warnings.catch_warnings():
        # Retries can only be set in this way in this version; Ray's default is to try for ever.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        yield context


def _decoding(
    videos: Sequence[Video], task: Callable[[pa.Table], Any], placement: Placement, videos_per_task: int
) -> Dataset:
    return ray.data.from_arrow(task_tables(videos, videos_per_task)).map_batches(
        task,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=placement.decode_cpus,
        max_retries=0,
        scheduling_strategy=CPU_NODES_FIRST,
    )


def _frames_taken(chain: Dataset) -> Iterator[int]:
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
