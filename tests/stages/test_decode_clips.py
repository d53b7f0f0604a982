"""Clips of decoded videos: their frames, short videos, long distances, and columns."""

import dataclasses

import numpy as np
import pytest

from attn.schema import FRAME, IMAGE, LABEL, REPEATED, TIME_S, TRUNCATED, VIDEO_ID
from attn.stages.clips import ClipSampling
from attn.stages.decode_clips import DecodeClips
from attn.stages.decode_videos import DecodeVideos
from attn.storage.writer import LAST, POSITION
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos

SIZE = 24


@pytest.fixture(scope="module")
def reader():
    with FrameReader() as found:
        yield found


def decoded(stage, video, reader):
    """Columns of all batches together."""
    batches = list(stage([video], reader))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}, [
        len(batch[FRAME]) for batch in batches
    ]


@pytest.mark.parametrize(
    ("frames", "length", "step", "every", "starts"),
    [
        (30, 4, 2, 8, [0, 8, 16]),
        (30, 4, 2, 23, [0, 23]),
        (30, 4, 2, 1, list(range(24))),
        (30, 3, 1, 10, [0, 10, 20]),
        (7, 4, 2, 8, [0]),
        (5, 4, 2, 8, [0]),
        (1, 4, 2, 8, [0]),
    ],
)
def test_clips_are_the_frames_of_the_video(write_clip, numbered, reader, frames, length, step, every, starts):
    (video,) = list_videos(str(write_clip(numbered(frames))))
    video = dataclasses.replace(video, label=1)
    whole, _ = decoded(DecodeVideos(Stride(1), SIZE, 64), video, reader)
    stage = DecodeClips(Stride(1), SIZE, 2, clip=ClipSampling(length, step), every=every)
    found, sizes = decoded(stage, video, reader)
    assert found[FRAME].tolist() == starts
    assert found[POSITION].tolist() == list(range(len(starts)))
    assert found[LAST].tolist() == [False] * (len(starts) - 1) + [True]
    assert set(sizes[:-1]) <= {2}
    for row, start in enumerate(starts):
        wanted = np.minimum(start + step * np.arange(length), frames - 1)
        assert np.array_equal(found[IMAGE][row], whole[IMAGE][wanted])
        assert found[REPEATED][row] == (start + step * np.arange(length) >= frames).sum()
        assert found[TIME_S][row] == whole[TIME_S][start]
    assert set(found[VIDEO_ID]) == {video.video_id}
    assert set(found[LABEL].tolist()) == {1}
    assert not found[TRUNCATED].any()


def test_frames_between_samples_are_not_in_a_clip(write_clip, numbered, reader):
    (video,) = list_videos(str(write_clip(numbered(30))))
    stage = DecodeClips(Stride(3), SIZE, 8, clip=ClipSampling(4, 1), every=4)
    found, _ = decoded(stage, video, reader)
    assert found[FRAME].tolist() == [0, 12]
    assert stage.frame_bytes == 4 * SIZE * SIZE * 3
