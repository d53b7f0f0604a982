"""Samples of a few frames per video, spread evenly over its length, with bounded memory for any length."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int, UInt8

from attn.schema import FRAME, IMAGE, VIDEO_ID
from attn.stages.decode_videos import Columns, DecodeVideos
from attn.storage.failures import Failure
from attn.storage.writer import LAST
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video


@dataclasses.dataclass(frozen=True)
class FrameSample:
    """Sampled frames of one video, in order.

    Attributes:
        video_id: ID of the video.
        frames: frame indices in the source.
        images: pixels of the frames.
    """

    video_id: str
    frames: Int[np.ndarray, "frame"]
    images: UInt8[np.ndarray, "frame row col rgb"]


def sample_videos(
    videos: Iterable[Video], reader: FrameReader, *, stage: DecodeVideos, per_video: int
) -> Iterator[FrameSample | Failure]:
    """Sample frames of videos, one video at a time; a video that cannot be read gives only a failure.

    Args:
        videos: videos to sample.
        reader: reader of the frames.
        stage: decoding stage. Its batches and twice `per_video` frames are held in memory.
        per_video: maximum number of frames per video; shorter videos give all of theirs.
    """
    spread = _Spread("", per_video)
    for item in stage(videos, reader):
        if isinstance(item, Failure):
            yield item
            continue
        for rows in by_video(item):
            if rows[VIDEO_ID][0] != spread.video_id:  # the previous video failed or is complete
                spread = _Spread(rows[VIDEO_ID][0], per_video)
            spread.add(rows)
            if rows[LAST][-1]:
                yield spread.sample()


class _Spread:
    """Every S-th frame of a stream of unknown length; S doubles when too many frames are held."""

    def __init__(self, video_id: str, count: int):
        self.video_id = video_id
        self._count = count
        self._step = 1
        self._seen = 0
        self._kept: list[tuple[int, np.ndarray]] = []

    def add(self, rows: Columns) -> None:
        for index, image in zip(rows[FRAME].tolist(), rows[IMAGE], strict=True):
            if self._seen % self._step == 0:
                self._kept.append((index, image.copy()))  # a view would hold the whole batch in memory
            self._seen += 1
            if len(self._kept) > 2 * self._count:
                self._kept, self._step = self._kept[::2], 2 * self._step

    def sample(self) -> FrameSample:
        """Choose the requested number of the held frames, from the middles of equal sections."""
        kept, count = self._kept, min(self._count, len(self._kept))
        chosen = [kept[(2 * i + 1) * len(kept) // (2 * count)] for i in range(count)]
        indices, images = zip(*chosen, strict=True)
        return FrameSample(self.video_id, np.array(indices, np.int32), np.stack(images))


def by_video(batch: Columns) -> Iterator[Columns]:
    """Yield the rows of each video of a batch."""
    ids = batch[VIDEO_ID]
    bounds = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    for start, stop in itertools.pairwise(bounds):
        yield {name: values[start:stop] for name, values in batch.items()}
