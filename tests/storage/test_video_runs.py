"""Runs of rows, found a batch at a time, are those that a slow look at all rows finds."""

import itertools
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.schema import FRAME, N_FRAMES, VIDEO_ID
from attn.storage.video_runs import Run, find_runs

SCHEMA = pa.schema([(VIDEO_ID, pa.string()), (N_FRAMES, pa.int32()), (FRAME, pa.int32())])
Row = tuple[str, int, int]


def batches(rows: list[Row], cuts: list[int]) -> Iterator[pa.RecordBatch]:
    for start, stop in itertools.pairwise([0, *sorted(cuts), len(rows)]):
        columns = zip(*rows[start:stop], strict=True) if start < stop else ([], [], [])
        yield pa.RecordBatch.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )


def looked_at_slowly(rows: list[Row]) -> Iterator[tuple[str, int, bool]]:
    for video, group in itertools.groupby(rows, key=lambda row: row[0]):
        members = list(group)
        grows = all(earlier[2] < later[2] for earlier, later in itertools.pairwise(members))
        yield video, len(members), grows and all(row[1] == len(members) for row in members)


def found(rows: list[Row], cuts: list[int]) -> list[tuple[str, int, bool]]:
    return [(run.video_id, run.rows, run.whole) for run in find_runs(batches(rows, cuts))]


@given(st.data())
def test_as_a_slow_look_finds_them(data: st.DataObject) -> None:
    row = st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(-1, 4))
    rows = data.draw(st.lists(row, max_size=8))
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    assert found(rows, cuts) == list(looked_at_slowly(rows))


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2, 3], [2, 2]])
def test_a_whole_video_is_whole_wherever_it_is_cut(cuts: list[int]) -> None:
    rows = [("a", 3, 0), ("a", 3, 5), ("a", 3, 10), ("b", 1, 7)]
    assert found(rows, cuts) == [("a", 3, True), ("b", 1, True)]


def test_the_ends_of_a_run() -> None:
    (run,) = find_runs(batches([("a", 3, 0), ("a", 3, 5), ("a", 2, 10)], [2]))
    assert run == Run("a", 3, None, first=0, last=10, in_order=True)


@pytest.mark.parametrize("row", [("a", None, 0), ("a", 2, None)])
def test_a_row_that_lacks_a_number_is_part_of_no_whole_video(row: tuple[str, int | None, int | None]) -> None:
    for cuts in ([], [1]):
        runs = list(find_runs(batches([("a", 2, 3), row], cuts)))  # type: ignore[list-item]
        assert not any(run.whole for run in runs)


def test_a_row_of_no_video_is_damage() -> None:
    with pytest.raises(pa.ArrowException):
        list(find_runs(batches([("a", 2, 0), (None, 2, 1)], [])))  # type: ignore[list-item]
