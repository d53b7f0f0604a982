"""Samples of the videos of a store, read without holding a whole video in memory."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from attn.schema import FRAME, N_FRAMES, TIME_S, VIDEO_ID
from attn.stages.finite import check_finite
from attn.stages.time_samples import NumSamples, uniform_samples
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_values


class SampledVideo(NamedTuple):
    """Uniform samples of a video.

    Attributes:
        video_id: ID of the video.
        values: values of a column at the samples.
        edges_s: times of the samples, and then the end of the video, in seconds.
    """

    video_id: str
    values: Float[np.ndarray, "sample chan"]
    edges_s: Float[np.ndarray, "edge"]


def sampled_videos(store: AttentionStore, column: str, count: NumSamples) -> Iterator[SampledVideo]:
    """Uniform samples of all complete videos of a store; the memory depends on the number of samples only.

    Raises:
        UsageError: the store lacks the column, a part is damaged, or a value is NaN or infinite.
    """
    store.check_columns([column])
    names = [VIDEO_ID, FRAME, TIME_S, N_FRAMES, column]
    for part in store.parts:
        for video_id, runs in itertools.groupby(store.runs(part, names), lambda rows: rows[VIDEO_ID][0].as_py()):
            sampled = _sampled(store, video_id, runs, column, count)
            if sampled is not None:
                yield sampled


def video_edges(time_s: Float[np.ndarray, "frame"], samples: Int[np.ndarray, "sample"]) -> Float[np.ndarray, "edge"]:
    """Times of samples, and then the end of the video.

    The end is the time of the last stored frame plus its distance from the one before it.

    Args:
        time_s: times of the stored frames.
        samples: rows of the samples.
    """
    last = np.float64(time_s[-1])
    step = last - np.float64(time_s[-2]) if len(time_s) > 1 else 0.0
    return np.append(time_s[samples].astype(np.float64), last + step)


def _sampled(
    store: AttentionStore, video_id: str, runs: Iterable[pa.RecordBatch], column: str, count: NumSamples
) -> SampledVideo | None:
    """Samples of one video; None if rows are missing."""
    field, picked, times, first, total, samples = store.manifest.schema.field(column), [], [], 0, 0, None
    for rows in runs:
        if samples is None:
            total = rows[N_FRAMES][0].as_py()
            samples = uniform_samples(total, count)
        own = np.unique(samples[(samples >= first) & (samples < first + len(rows))]) - first
        values = tensor_values(rows[column].take(pa.array(own)), field)
        check_finite(store.url, video_id, rows[FRAME].to_numpy()[own], column, values)
        picked.append(values)
        times.append(rows[TIME_S].to_numpy())
        first += len(rows)
    if samples is None or first != total:
        return None
    place = np.unique(samples, return_inverse=True)[1]
    return SampledVideo(video_id, np.concatenate(picked)[place], video_edges(np.concatenate(times), samples))
