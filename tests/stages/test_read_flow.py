"""Stacks read from a flow store are those of its videos, over batches, row groups and parts."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from attn.schema import FLOW, FRAME, IMAGE, LABEL, VIDEO_ID
from attn.stages.decode_videos import NO_LABEL
from attn.stages.flow.stacks import stack_rows, stacked
from attn.stages.read_flow import ReadFlow, flow_videos, num_frames_of
from attn.storage.failures import Failure
from attn.storage.store import FlowStore
from attn.storage.writer import LAST, POSITION
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from tests.flow_stores import write_flow

LENGTHS = {"a": 40, "b": 1, "c": 33, "d": 7, "e": 90}
"""Rows of the videos: more and fewer than a row group of 32, and than a batch and a stack."""


@pytest.fixture(scope="module")
def flows() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.integers(-127, 128, (rows, 2, 8, 8), np.int8) for name, rows in LENGTHS.items()}


@pytest.fixture
def store(flows, tmp_path: Path) -> FlowStore:
    """Store in several parts: a part is closed with the first video that makes it reach 10 KB."""
    store = FlowStore.open(write_flow(str(tmp_path / "flow"), flows, input_size=8, part_bytes=10_000))
    assert 1 < len(store.parts) < len(LENGTHS)
    return store


def stage(store: FlowStore, batch_size: int, length: int, **told) -> ReadFlow:
    rows = num_frames_of(flow_videos(store, dict.fromkeys(LENGTHS)), store)
    return ReadFlow(Stride(1), 8, batch_size, store=store.url, num_frames=rows, length=length, **told)


@pytest.mark.parametrize(("batch_size", "length"), [(16, 5), (1, 3), (1000, 1), (32, 50)])
def test_batches_hold_the_stacks_of_every_frame_once_and_in_order(store, flows, batch_size: int, length: int) -> None:
    videos = flow_videos(store, {**dict.fromkeys(LENGTHS), "c": 2})
    with FrameReader() as reader:
        batches = list(stage(store, batch_size, length)(videos, reader))
    assert all(0 < len(batch[FRAME]) <= batch_size for batch in batches)
    for name, flow in flows.items():
        own = [batch for batch in batches if batch[VIDEO_ID][0] == name]
        rows = {key: np.concatenate([batch[key] for batch in own]) for key in own[0]}
        np.testing.assert_array_equal(rows[IMAGE], stacked(flow[stack_rows([len(flow)], length)]))
        np.testing.assert_array_equal(rows[POSITION], np.arange(len(flow)))
        np.testing.assert_array_equal(rows[FRAME], 5 * np.arange(len(flow)))
        np.testing.assert_array_equal(rows[LAST], np.arange(len(flow)) == len(flow) - 1)
        assert (rows[LABEL] == (2 if name == "c" else NO_LABEL)).all()


def test_a_damaged_part_costs_only_its_own_videos_and_only_in_the_last_try(store) -> None:
    damaged = Path(store.parts[0].path)
    lost, videos = store.parts[0].rows, flow_videos(store, dict.fromkeys(LENGTHS))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with FrameReader() as reader:
        for last_try in (False, True):
            found = list(stage(store, 16, 5, last_try=last_try)(videos, reader))
            failed = [item.video_id for item in found if isinstance(item, Failure)]
            assert sorted(failed) == (sorted(lost) if last_try else [])
            read = {item[VIDEO_ID][0] for item in found if not isinstance(item, Failure)}
            assert read == LENGTHS.keys() - lost.keys()


def test_videos_that_were_read_before_the_damage_do_not_fail(flows, tmp_path: Path) -> None:
    """Batches that were sent count; a failure would drop their video."""
    store = FlowStore.open(write_flow(str(tmp_path / "flow"), flows, input_size=8))
    (part,) = store.parts
    with pq.ParquetFile(part.path) as file:
        last = file.metadata.row_group(file.metadata.num_row_groups - 1)
        column = next(i for i in range(last.num_columns) if last.column(i).path_in_schema.startswith(FLOW))
        offset = last.column(column).data_page_offset
    content = bytearray(Path(part.path).read_bytes())
    content[offset + 40 : offset + 200] = bytes(160)
    Path(part.path).write_bytes(content)
    with FrameReader() as reader:
        found = list(stage(store, 16, 5)(flow_videos(store, dict.fromkeys(LENGTHS)), reader))
    assert [item.video_id for item in found if isinstance(item, Failure)] == ["e"]
    finished = {item[VIDEO_ID][0] for item in found if not isinstance(item, Failure) and item[LAST][-1]}
    assert finished == set("abcd")
