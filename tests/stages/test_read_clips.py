"""Clips read from a flow store are those of its videos, over batches, row groups and parts."""

from pathlib import Path

import numpy as np
import pytest

from attn.schema import FRAME, IMAGE, LABEL, REPEATED, VIDEO_ID
from attn.stages.clips import ClipSampling, clip_starts
from attn.stages.decode_videos import NO_LABEL
from attn.stages.read_clips import ReadClips
from attn.stages.read_flow import flow_videos, num_frames_of
from attn.storage.failures import Failure
from attn.storage.store import FlowStore
from attn.storage.writer import LAST, POSITION
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from tests.flow_stores import write_flow

LENGTHS = {"a": 40, "b": 1, "c": 33, "d": 7, "e": 90}
"""Rows of the videos: more and fewer than a row group of 32, and than a clip."""


@pytest.fixture(scope="module")
def flows():
    random = np.random.default_rng(0)
    return {name: random.integers(-127, 128, (rows, 2, 8, 8), np.int8) for name, rows in LENGTHS.items()}


@pytest.fixture
def store(flows, tmp_path: Path) -> FlowStore:
    return FlowStore.open(write_flow(str(tmp_path / "flow"), flows, input_size=8, part_bytes=10_000))


@pytest.mark.parametrize(
    ("length", "step", "every", "batch_size"),
    [(4, 2, 8, 2), (4, 2, 1, 3), (3, 1, 50, 1), (16, 4, 16, 64), (1, 1, 1, 7)],
)
def test_every_clip_comes_once_with_its_flow(store, flows, length, step, every, batch_size):
    clip, videos = ClipSampling(length, step), flow_videos(store, {**dict.fromkeys(LENGTHS), "c": 2})
    told = {"store": store.url, "num_frames": num_frames_of(videos, store)}
    stage = ReadClips(Stride(1), 8, batch_size, **told, clip=clip, every=every)
    with FrameReader() as reader:
        batches = [item for item in stage(videos, reader) if not isinstance(item, Failure)]
    assert stage.frame_bytes == length * 8 * 8 * 2
    assert all(0 < len(batch[FRAME]) <= batch_size for batch in batches)
    for name, flow in flows.items():
        own = [batch for batch in batches if batch[VIDEO_ID][0] == name]
        rows = {key: np.concatenate([batch[key] for batch in own]) for key in own[0]}
        starts = [start for start in range(0, len(flow), every) if start + (length - 1) * step < len(flow)] or [0]
        assert (rows[FRAME] // 5).tolist() == starts == clip_starts(len(flow), clip, every)
        assert rows[POSITION].tolist() == list(range(len(starts)))
        assert rows[LAST].tolist() == [False] * (len(starts) - 1) + [True]
        assert (rows[LABEL] == (2 if name == "c" else NO_LABEL)).all()
        for row, start in enumerate(starts):
            wanted = start + step * np.arange(length)
            expected = [flow[frame] if frame < len(flow) else np.zeros_like(flow[0]) for frame in wanted]
            np.testing.assert_array_equal(rows[IMAGE][row], np.stack(expected).transpose(0, 2, 3, 1))
            assert rows[REPEATED][row] == (wanted >= len(flow)).sum()
