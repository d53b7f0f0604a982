"""The examples of docs/store.md, run on a store as they are printed there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "store.md"
EXAMPLES = dict(re.findall(r"^### ([^\n]+)\n\n```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
ON_RAY = "Ray Data"  # starts a Ray


@pytest.fixture
def run(tmp_path, monkeypatch, write_store, new_manifest):
    """run(tool): variables of the example after it ran in a folder with a store of two parts."""
    rng = np.random.default_rng(0)
    videos = {
        name: {"maps": rng.random((rows, 3, 4, 4)).astype(np.float16), "logits": rng.random((rows, 3), np.float32)}
        for name, rows in {"a": 2, "b": 3}.items()
    }
    write_store(str(tmp_path / "store"), new_manifest(), videos, part_bytes=1)
    monkeypatch.chdir(tmp_path)
    expected = np.concatenate([video["maps"] for video in videos.values()])

    def run_example(tool: str) -> tuple[dict[str, Any], np.ndarray]:
        names: dict[str, Any] = {}
        exec(compile(EXAMPLES[tool], f"{PAGE}: {tool}", "exec"), names)  # noqa: S102  our own page
        return names, expected

    return run_example


def _sorted(maps):
    """In an order that does not depend on the names of the parts, which are drawn at random."""
    return np.sort(np.asarray(maps, np.float32).reshape(len(maps), -1), axis=0)


def test_pandas(run):
    found, expected = run("pandas")
    np.testing.assert_array_equal(_sorted(found["maps"]), _sorted(expected))
    assert found["maps"].shape == expected.shape


def test_polars(run):
    found, expected = run("polars")
    assert dict(found["per_video"].select("video_id", "len").iter_rows()) == {"a": 2, "b": 3}
    assert found["logits"].shape == (len(expected), 3)


def test_duckdb(run):
    found, _ = run("DuckDB")
    assert {(video, frames) for video, frames, _ in found["rows"]} == {("a", 2), ("b", 3)}


def test_pyarrow(run):
    found, expected = run("PyArrow")
    assert found["maps"].shape[1:] == expected.shape[1:]
    assert found["class_names"] == ["Wave", "Kick", "Hug"]


def test_own_reader(run):
    found, expected = run("This project's own reader")
    assert found["video"].maps.shape[1:] == expected.shape[1:]


def test_no_example_is_left_out():
    assert set(EXAMPLES) == {"pandas", "polars", "DuckDB", "PyArrow", "This project's own reader", ON_RAY}
