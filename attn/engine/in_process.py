"""Small jobs run in their own process: starting Ray and its workers would take longer than the work.

A decoder still runs in its confined child process, and the parts of a store are written by the same code as on Ray.
"""

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from attn.engine.delivery import ComputeError, one_line
from attn.engine.placement import Placement
from attn.engine.session import this_machine, works_in_place
from attn.fault_points import reach
from attn.schema import IMAGE, VIDEO_ID
from attn.stages.decode_videos import DecodeVideos
from attn.stages.rows import Tensors, pixels, record_batch
from attn.storage.failures import Failure
from attn.storage.writer import StoreWriter, travelling_schema
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video

MOST_BYTES = 200_000_000
"""Bytes of videos times CPUs. On two cores, 100 MB (370 clips of UCF101) take about as long as starting Ray."""
FEW = 32
"""Videos that take less time to decode than Ray to start, whatever their size."""
PLACEMENT = Placement((0, 0), 0, 0, 0, 1, 0)
"""Placement without workers."""


def runs_in_process(videos: Sequence[Video]) -> bool:
    """Whether a job on these videos runs in this process: no cluster is joined, and the videos are small."""
    sizes = [video.size for video in videos if video.size is not None]
    few_unknown = len(videos) - len(sizes) <= FEW  # such as broken links
    return few_unknown and works_in_place() and sum(sizes) * this_machine()["CPU"] <= MOST_BYTES


def needs_no_ray(videos: Sequence[Video]) -> bool:
    """Whether a job that only reads these videos runs in this process, beside a cluster too."""
    return len(videos) <= FEW or runs_in_process(videos)


def rows_done(
    videos: Sequence[Video],
    *,
    stage: DecodeVideos,
    writers: Sequence[StoreWriter],
    isolated: bool,
    tensors: Tensors,
    schema: pa.Schema,
) -> Generator[int, None, None]:
    """Process videos one after the other and yield the number of frames of each batch that the writer has received.

    Args:
        videos: videos to process.
        stage: decoding stage.
        writers: the only writer.
        isolated: not used; there is a single task.
        tensors: computation of the tensor columns.
        schema: schema of the store's parts.

    Raises:
        ComputeError: the CNN or the store failed; the message contains the reason.
    """
    (writer,), travelling = writers, travelling_schema(schema)
    with FrameReader() as reader:
        for item in stage(list(videos), reader):
            try:
                if isinstance(item, Failure):
                    writer.fail(item)
                    continue
                reach("maps", item[VIDEO_ID][0])
                rows = record_batch(item, tensors(item[IMAGE]), travelling)
                writer.add(rows)
            except Exception as error:
                raise ComputeError(one_line(error)) from error
            yield rows.num_rows


def frames_in_process(schema: pa.Schema, tensors: Tensors = pixels) -> Any:
    """Chain of a frame store, or of another one whose tensor columns need no network."""
    return functools.partial(rows_done, tensors=tensors, schema=schema)


def computed_in_process(
    compute: Callable[..., Tensors], model: Any, settings: Mapping[str, Any], schema: pa.Schema
) -> Any:
    """Chain of a store whose tensor columns a model computes, on the GPU if there is one.

    Args:
        compute: `ComputeMaps` or another class with such arguments.
        model: its model, such as a `Cnn`.
        settings: its settings, without `device`.
        schema: schema of the store's parts.
    """
    import torch  # imported here: frame stores do not need it

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return functools.partial(rows_done, tensors=compute(model, **settings, device=device), schema=schema)
