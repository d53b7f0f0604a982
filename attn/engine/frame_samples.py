"""Bounded sample of frames from many videos, held in the driver's memory."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int, UInt8

from attn.engine.in_process import needs_no_ray
from attn.engine.placement import MOST_VIDEOS_PER_TASK, cluster_totals, living_nodes, place_decoding
from attn.engine.session import start_ray
from attn.stages.decode_videos import DecodeVideos
from attn.stages.frame_sample import FrameSample, sample_videos
from attn.storage.failures import Failure
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video

log = logging.getLogger(__name__)

TRIES = 3
HEARTBEAT_S = 5.0

Chain = Callable[[Sequence[Video], DecodeVideos, int], Iterator[FrameSample | Failure]]
"""Function that samples videos with a stage; the integer is the number of videos per task."""


class FrameBank:
    """Frames of videos in order of arrival; `order` returns an order that is independent of it.

    Args:
        capacity: maximum number of frames. Memory is committed as frames arrive.
        size: side of the frames, in pixels.
    """

    def __init__(self, capacity: int, size: int):
        self.counts: dict[str, int] = {}
        self._names: list[tuple[str, int]] = []
        self._pixels = np.empty((capacity, size, size, 3), np.uint8)

    @property
    def pixels(self) -> UInt8[np.ndarray, "image row col rgb"]:
        return self._pixels[: len(self._names)]

    def add(self, sample: FrameSample) -> None:
        start = len(self._names)
        self._names += [(sample.video_id, frame) for frame in sample.frames.tolist()]
        self._pixels[start : len(self._names)] = sample.images
        self.counts[sample.video_id] = len(sample.frames)

    def order(self, seed: int, most: int) -> Int[np.ndarray, "frame"]:
        """Rows of at most `most` frames in pseudo-random order: sorted by a hash of seed, video and frame."""
        ranks = [_rank(f"{seed}/{video_id}/{frame}") for video_id, frame in self._names]
        return np.argsort(np.array(ranks))[:most]

    def names(self, rows: Int[np.ndarray, "frame"]) -> list[tuple[str, int]]:
        """Video ID and frame index of each row."""
        return [self._names[row] for row in rows.tolist()]


def choose_videos(videos: Sequence[Video], most: int, seed: int) -> list[Video]:
    """Choose at most `most` videos, those with the smallest hash of seed and ID; the order is preserved."""
    chosen = sorted((video.video_id for video in videos), key=lambda video_id: _rank(f"{seed}/{video_id}"))[:most]
    taken = set(chosen)
    return [video for video in videos if video.video_id in taken]


def sample_frames(videos: Sequence[Video], stage: DecodeVideos, per_video: int) -> tuple[FrameBank, dict[str, Failure]]:
    """Sample all videos, on Ray if there are many.

    A video whose worker dies or hangs is tried up to three times; retries run one video per task.

    Args:
        videos: videos to sample.
        stage: decoding stage.
        per_video: maximum number of frames per video.

    Returns:
        Frames, and failures by video ID.
    """
    bank = FrameBank(len(videos) * per_video, stage.size)
    with _in_process(per_video) if needs_no_ray(videos) else _on_ray(per_video) as chain:
        return bank, fill_bank(bank, videos, stage, chain)


def fill_bank(bank: FrameBank, videos: Sequence[Video], stage: DecodeVideos, chain: Chain) -> dict[str, Failure]:
    """Sample videos into a bank and return the failures by video ID."""
    failed: dict[str, Failure] = {}
    left, logged_s = list(videos), time.monotonic()
    for attempt in range(1, TRIES + 1):
        stage = dataclasses.replace(stage, attempt=attempt, last_try=attempt == TRIES)
        for item in chain(left, stage, MOST_VIDEOS_PER_TASK if attempt == 1 else 1):
            if isinstance(item, Failure):
                failed[item.video_id] = item
            else:
                bank.add(item)
            if time.monotonic() - logged_s > HEARTBEAT_S:
                logged_s = time.monotonic()
                log.info("%d/%d videos, %d failed", len(bank.counts), len(videos), len(failed))
        left = [video for video in left if video.video_id not in bank.counts.keys() | failed.keys()]
        if not left:
            return failed
        if attempt < TRIES:
            log.warning("%d videos were not finished; retrying them one by one", len(left))
    message = f"its worker died in each of {TRIES} attempts; see Ray's logs"
    lost = {v.video_id: Failure(v.video_id, v.url, "decode", "WorkerDied", message, TRIES) for v in left}
    return failed | lost


@contextlib.contextmanager
def _in_process(per_video: int) -> Iterator[Chain]:
    with FrameReader() as reader:
        yield lambda videos, stage, _: sample_videos(videos, reader, stage=stage, per_video=per_video)


@contextlib.contextmanager
def _on_ray(per_video: int) -> Iterator[Chain]:
    from attn.engine.dataflow import samples_done  # imported here because Ray Data takes seconds to load

    start_ray()
    placement = place_decoding(cluster_totals(), living_nodes())
    done = functools.partial(samples_done, per_video=per_video, placement=placement)

    def chain(videos: Sequence[Video], stage: DecodeVideos, most: int) -> Iterator[FrameSample | Failure]:
        return done(videos, stage=stage, videos_per_task=min(most, placement.videos_per_task(len(videos))))

    yield chain


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
