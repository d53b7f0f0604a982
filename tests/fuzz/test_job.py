"""What a campaign takes for wrong in a store."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from guarded import order_problems
from job import stored_outcomes

FAILURE = {"video_id": "b", "stage": "decode", "error": "VideoError", "message": "/there/b.avi: no video", "attempt": 1}


def rows(video_id: str = "a", count: int = 3, **change: list) -> dict[str, list]:
    right = {
        "video_id": [video_id] * count,
        "frame": [5 * i for i in range(count)],
        "time_s": [i / 5 for i in range(count)],
        "n_frames": [count] * count,
        "truncated": [False] * count,
        "maps": [[0.0, 1.0]] * count,
        "logits": [[1.0]] * count,
    }
    return {**right, **change}


def outcomes(store: Path, parts: list[dict[str, list]], failures: list[dict], *, finished: bool = True):
    (store / "failures").mkdir(parents=True)
    for i, part in enumerate(parts):
        table = pa.table(part)
        table = table.set_column(2, "time_s", table["time_s"].cast(pa.float32()))
        pq.write_table(table, store / f"part-{i}.parquet")
    if failures:
        pq.write_table(pa.Table.from_pylist(failures), store / "failures" / "0.parquet")
    if finished:
        (store / "_SUCCESS.json").write_text("{}")
    return stored_outcomes(store, ["a.avi", "b.avi"])


def test_a_right_store(tmp_path: Path) -> None:
    found, problems = outcomes(tmp_path, [rows()], [FAILURE])
    assert problems == []
    assert [(one.outcome, one.rows, one.problems) for one in found.values()] == [("complete", 3, []), ("failed", 0, [])]


@pytest.mark.parametrize(
    ("parts", "failures", "wrong"),
    [
        ([rows()], [], "b.avi: neither rows nor a failure"),
        ([rows(), rows()], [FAILURE], "a.avi: more than once"),
        ([rows(), rows("b")], [FAILURE], "b.avi: more than once"),
        ([rows()], [FAILURE, FAILURE], "b.avi: more than once"),
        ([{**rows(), "video_id": ["a", "b", "a"]}], [], "a.avi: more than once"),
        ([rows(n_frames=[3, 3, 4])], [FAILURE], "a.avi: 3 rows, n_frames"),
        ([rows(frame=[0, 5, 5])], [FAILURE], "a.avi: frames do not increase"),
        ([rows(frame=[-1, 5, 6])], [FAILURE], "a.avi: frames do not increase"),
        ([rows(time_s=[0.0, 2.0, 1.0])], [FAILURE], "a.avi: times go back"),
        ([rows(time_s=[0.0, 2.0, float("nan")])], [FAILURE], "a.avi: times are not finite"),
        ([rows(truncated=[False, False, True])], [FAILURE], "a.avi: truncated here and there"),
        ([rows(maps=[[0.0, 1.0], [0.0, float("inf")], [0.0, 1.0]])], [FAILURE], "a.avi: maps are not finite"),
        ([rows()], [{**FAILURE, "error": "WorkerDied"}], "b.avi: failed as WorkerDied"),
        ([rows()], [{**FAILURE, "message": "b.avi: two\nlines of it"}], "b.avi: no message of one line"),
        ([rows()], [{**FAILURE, "message": ""}], "b.avi: no message of one line"),
        ([rows(), rows("c")], [FAILURE], "store: videos that were not given: ['c']"),
    ],
)
def test_a_wrong_store(parts: list, failures: list, wrong: str, tmp_path: Path) -> None:
    found, problems = outcomes(tmp_path, parts, failures)
    told = [f"{name}: {problem}" for name, one in found.items() for problem in one.problems]
    assert any(line.startswith(wrong) for line in [*told, *(f"store: {problem}" for problem in problems)])


def test_an_unfinished_store(tmp_path: Path) -> None:
    assert outcomes(tmp_path, [rows()], [FAILURE], finished=False)[1] == ["the store is not finished"]


def test_times_may_stand_still_where_float32_tells_no_more() -> None:
    assert order_problems(np.array([-1, 0, 1]), np.array([-np.inf, 9e9, 9e9], np.float32)) == []
