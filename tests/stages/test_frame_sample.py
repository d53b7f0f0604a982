"""Samples are spread over the whole length of each video, whatever its length, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from attn.schema import FRAME, IMAGE, VIDEO_ID
from attn.stages.decode_videos import DecodeVideos
from attn.stages.frame_sample import FrameSample, sample_videos
from attn.storage.failures import Failure
from attn.storage.writer import LAST
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video

LENGTHS = {"few": 3, "many": 150, "one": 1, "some": 47}
BROKEN = Failure("b", "b.avi", "decode", "VideoError", "no", 1)


@pytest.fixture(scope="module")
def videos(write_clip) -> list[Video]:
    """Lossless clips; the brightness of a frame is its index."""
    found = []
    for name, length in LENGTHS.items():
        path = write_clip([np.full((32, 32, 3), i, np.uint8) for i in range(length)], name=f"{name}.mkv")
        found.append(Video(name, str(path), None, None, None))
    return found


class Stream:
    """A decoding stage whose videos are what one writes down: id and frames, ended or not."""

    def __init__(self, *items: tuple[str, int, bool] | Failure, batch: int = 10):
        self._items, self._batch = items, batch

    def __call__(self, videos: Any, reader: Any) -> Iterator[dict[str, np.ndarray] | Failure]:
        for item in self._items:
            if isinstance(item, Failure):
                yield item
                continue
            name, count, ends = item
            for start in range(0, count, self._batch):
                index = np.arange(start, min(start + self._batch, count), dtype=np.int32)
                images = np.zeros((len(index), 32, 32, 3), np.uint8) + index[:, None, None, None].astype(np.uint8)
                ids = np.full(len(index), name, object)
                yield {VIDEO_ID: ids, FRAME: index, LAST: (index == count - 1) & ends, IMAGE: images}


def sampled(stage: Any, per_video: int) -> dict[str, FrameSample | Failure]:
    return {item.video_id: item for item in sample_videos([], None, stage=stage, per_video=per_video)}  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [7, 64])
def test_real_clips(videos: list[Video], batch_size: int) -> None:
    stage = DecodeVideos(Stride(2), size=16, batch_size=batch_size)
    with FrameReader() as reader:
        found = list(sample_videos(videos, reader, stage=stage, per_video=4))
    assert [(item.video_id, len(item.frames)) for item in found] == [("few", 2), ("many", 4), ("one", 1), ("some", 4)]
    for item in found:
        assert (item.images == item.frames[:, None, None, None]).all()
        assert (item.frames % 2 == 0).all()


@pytest.mark.parametrize("length", [1, 5, 8, 9, 16, 17, 33, 100, 999])
@pytest.mark.parametrize("per_video", [1, 3, 8])
def test_frames_are_spread_over_the_whole_length(length: int, per_video: int) -> None:
    (item,) = sampled(Stream(("a", length, True)), per_video).values()
    count = min(length, per_video)
    assert len(item.frames) == count
    assert (np.diff(item.frames) > 0).all()
    middles = (np.arange(count) + 0.5) * length / count
    assert np.abs(item.frames - middles).max() <= 1.5 * length / count


def test_a_video_that_fails_on_its_way_gives_no_frame() -> None:
    found = sampled(Stream(("a", 25, True), BROKEN, ("b", 14, False), ("c", 3, True), ("d", 5, False)), 8)
    assert found.keys() == {"a", "b", "c"}
    assert found["b"] is BROKEN
    assert found["c"].frames.tolist() == [0, 1, 2]


def test_memory_does_not_grow_with_the_length() -> None:
    peaks = []
    for length in (100, 5000):
        tracemalloc.start()
        sampled(Stream(("a", length, True)), 8)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks
