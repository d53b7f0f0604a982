"""Ray Data chains that fill a store: videos → frames (CPU tasks) → maps or flow (actor pool) → writers.

Rows do not return to the driver: tasks and actors send them to the writer of the video, and the driver receives only
the number of frames. Ray Data keeps the pool busy and applies backpressure to decoding when the pool is slower. A frame
store needs no pool, nor does flow that decode tasks compute: these wait for the writers. Only samples of a few frames
are returned to the driver.
"""

import contextlib
import functools
import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from attn.engine.filling import Chain
from attn.engine.placement import Placement
from attn.fault_points import reach
from attn.models.torchvision_models import load_torchvision
from attn.schema import VIDEO_ID
from attn.stages.decode_videos import IMAGE, DecodeVideos
from attn.stages.frame_sample import FrameSample
from attn.stages.rows import Tensors, pixels, record_batch
from attn.storage.failures import Failure
from attn.storage.writer import travelling_schema
from attn.video.source import Video

# Batches at one time in an actor: one in the model, the others on their way to the writers.
BATCHES_PER_ACTOR = 4
# Batches in the object store: enough to keep all actors busy, few enough to keep memory small. Beside the batches in an
# actor, Ray Data sends as many ahead.
IN_FLIGHT_PER_DECODE = 4
IN_FLIGHT_PER_ACTOR = 2 * BATCHES_PER_ACTOR
# Ray's default strategy places tasks without GPUs on machines without GPUs first. Ray Data's default spreads them over
# all machines.
CPU_NODES_FIRST = "DEFAULT"


class ComputeActor:
    """Model on one GPU (or CPU core) that sends its output to the writers.

    Several threads may call it. The model runs in a thread of its own, one batch at a time; meanwhile, the threads of
    earlier batches wait until the writers have received these.

    Args:
        compute: `ComputeMaps` or another class with such arguments.
        model: object store reference to its model, such as a `Cnn`.
        settings: its settings.
        schema: schema of the store's parts.
        writers: writer actors.
    """

    def __init__(
        self,
        compute: Callable[..., Tensors],
        model: Any,
        settings: dict[str, Any],
        schema: pa.Schema,
        writers: Sequence[Any],
    ):
        self._schema = travelling_schema(schema)
        self._writers = writers
        self._broken = ""
        self._model_thread = ThreadPoolExecutor(max_workers=1)
        try:
            load_torchvision()  # before a network is unpickled, which needs it
            self._compute = compute(ray.get(model), **settings)
        except Exception as error:  # Ray would restart this actor endlessly without a message
            self._broken = one_line(error)

    def __call__(self, frames: dict[str, np.ndarray]) -> Outcome:
        if self._broken:
            return failure(self._broken)
        return deliver(lambda: self._rows(frames), self._writers)

    def _rows(self, frames: dict[str, np.ndarray]) -> pa.RecordBatch:
        return record_batch(frames, self._model_thread.submit(self._tensors, frames).result(), self._schema)

    def _tensors(self, frames: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        reach("maps", frames[VIDEO_ID][0])
        return self._compute(frames[IMAGE])


def pool_chain(
    compute: Callable[..., Tensors], model: Any, settings: dict[str, Any], schema: pa.Schema, placement: Placement
) -> Chain:
    """Return the chain that computes with a model, such as a `Cnn`, which is sent to the actors once."""
    known = {"compute": compute, "model": ray.put(model), "settings": settings}
    return functools.partial(rows_done, **known, schema=schema, placement=placement)


def rows_done(
    videos: Sequence[Video],
    *,
    stage: DecodeVideos,
    compute: Callable[..., Tensors],
    model: Any,
    settings: dict[str, Any],
    schema: pa.Schema,
    writers: Sequence[Any],
    placement: Placement,
    isolated: bool,
) -> Generator[int, None, None]:
    """Compute the rows of videos and yield the number of frames of each batch received by a writer.

    Args:
        videos: videos to process.
        stage: decoding stage.
        compute, model, settings: computation of an actor, see `ComputeActor`.
        schema: schema of the store's parts.
        writers: writer actors.
        placement: resources of the run.
        isolated: whether each video has its own decode task, and each actor one batch at a time, so that a video that
            kills its worker takes few others with it.

    Raises:
        WriterDiedError: a writer died; retry with new writers.
        ComputeError: the model or the store failed; the message contains the reason.
    """
    batch_bytes = stage.batch_size * stage.frame_bytes
    # A block is exactly one batch: the generator yields full batches, and Ray closes a block at the first yield beyond
    # nine tenths of a batch. The limit on the object store keeps memory independent of the number of videos.
    with _settings(block_bytes=int(0.9 * batch_bytes)) as context:
        batches = IN_FLIGHT_PER_DECODE * placement.decode_tasks + IN_FLIGHT_PER_ACTOR * placement.actors[1]
        context.execution_options.resource_limits = Limits.for_limits(object_store_memory=batches * batch_bytes)
        task = functools.partial(decode, stage=stage, writers=writers)
        per_task = placement.videos_per_task(len(videos), isolated=isolated)
        chain = _decoding(videos, task, placement, per_task).map_batches(
            ComputeActor,
            fn_constructor_args=(compute, model, settings, schema, writers),
            batch_size=stage.batch_size,
            batch_format="numpy",
            compute=ActorPoolStrategy(
                min_size=placement.actors[0],
                max_size=placement.actors[1],
                max_concurrent_calls_per_actor=1 if isolated else BATCHES_PER_ACTOR,
                enable_true_multi_threading=True,  # the actor itself keeps the model to one batch at a time
            ),
            num_cpus=placement.cpus_per_actor,
            num_gpus=placement.gpus_per_actor,
            # Without restarts the pool still counts dead actors, and the run hangs when all are dead. The task of a
            # dead actor is not retried at once, because its input may have killed the actor.
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
    isolated: bool,
    tensors: Tensors = pixels,
) -> Generator[int, None, None]:
    """Store the frames of videos, or what decode tasks compute of them; other arguments are those of `rows_done`."""
    with _settings(block_bytes=1):  # so that the driver receives every batch count at once
        settings = {"stage": stage, "writers": writers, "schema": travelling_schema(schema), "tensors": tensors}
        task = functools.partial(decode_to_writers, **settings)
        per_task = placement.videos_per_task(len(videos), isolated=isolated)
        chain = _decoding(videos, task, placement, per_task)
    yield from _frames_taken(chain)


def samples_done(
    videos: Sequence[Video], *, stage: DecodeVideos, per_video: int, placement: Placement, videos_per_task: int
) -> Iterator[FrameSample | Failure]:
    """Sample videos and yield a sample or failure for each, in any order; videos whose task died are missing.

    This is the only chain that returns pixels to the driver. The object store limit bounds the pixels in flight.

    Args:
        videos: videos to sample.
        stage: decoding stage.
        per_video: number of frames per video.
        placement: resources of the run.
        videos_per_task: videos per decode task, as in `rows_done`.
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
    """Set the Ray Data context for chains that are built inside the block."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # blocks lost with a process are dropped; their videos are retried one by one
    context.target_max_block_size = block_bytes
    with DataContext.current(context), warnings.catch_warnings():
        # This Ray version has no other way to set retries; its default is to retry forever.
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
    """Restrict Ray Data's messages to its log files; the job logs everything that users need."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.get_name() == "console":
            handler.setLevel(logging.CRITICAL)
