"""Two reproductions side by side: figures, paired differences, refusals."""

import dataclasses
import json

import numpy as np
import pytest

from attn.commands.reproduction.beside import compare, open_beside
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.protocol import Benchmark, Split
from attn.errors import UsageError
from attn.report.paper_tables import as_markdown
from attn.storage.scores import Scores, scores_parquet

NAMES = ("Hug", "Kick")
IDS = tuple(f"v{i:02}" for i in range(40))


@pytest.fixture
def benchmark():
    test = {video_id: NAMES[i % 2] for i, video_id in enumerate(IDS)}
    return Benchmark("synthetic", NAMES, "videos", None, 2, "top_1", (Split("split1", {"other": "Hug"}, test),))


@pytest.fixture
def reproduction(tmp_path, new_manifest):
    """`reproduction("name", right, ids)`: options and the only cell, whose CNN is right for the first videos."""

    def make(name, right, ids=IDS, methods=("cnn",)):
        cell = Cell("resnet18", 0, "split1", "020", "scores")
        labels = np.array([IDS.index(one) % 2 for one in ids], np.int16)
        predicted = np.where(np.arange(len(ids)) < right, labels, 1 - labels)
        scores = Scores(list(ids), np.eye(2, dtype=bool)[labels], dict.fromkeys(methods, np.eye(2)[predicted]))
        (tmp_path / name / "scores").mkdir(parents=True)
        data = scores_parquet(scores, new_manifest(class_names=NAMES))
        (tmp_path / name / "scores" / "scores.parquet").write_bytes(data)
        return ReproduceOptions(dataset="synthetic", out=str(tmp_path / name)), [cell]

    return make


def test_a_difference_is_that_on_the_videos_of_both(benchmark, reproduction):
    """The other run lacks the first ten videos, for which this one is right: on the rest, 20 against 6 of 30."""
    this, other = reproduction("this", 30, methods=("cnn", "unatt")), reproduction("other", 6, IDS[10:])
    (found,) = compare(this, other, benchmark)
    assert (found["method"], found["trained_on"], found["videos"]) == ("finetune+CNN", "020", 30)
    assert [found["this"]["value"], found["other"]["value"]] == pytest.approx([20 / 30, 6 / 30])
    assert found["value"] == pytest.approx(14 / 30)
    assert found["interval"][0] > 0


def test_the_page_shows_both(benchmark, reproduction):
    records = list(compare(reproduction("this", 30), reproduction("other", 10), benchmark))
    empty = {key: [] for key in ("web_images", "methods", "pairs", "gains", "crossings")}
    given = {"dataset": "synthetic", "figure": "top_1", "unit": "video", "seeds": [0], "failed": {}, "options": {}}
    page = as_markdown({**empty, **given, "other": "paper-tables/", "beside": records})
    assert "## Beside paper-tables/, in points" in page
    assert "| resnet18 | 20 % | finetune+CNN | 75.0 (" in page
    assert "| 25.0 (" in page
    assert "| +50.0 (" in page


def test_another_reproduction_is_needed(benchmark, tmp_path):
    options = ReproduceOptions(dataset="synthetic", out=str(tmp_path / "this"), beside=str(tmp_path / "other"))
    assert open_beside(dataclasses.replace(options, beside=None), benchmark) is None
    with pytest.raises(UsageError, match=r"no plan\.json here"):
        open_beside(options, benchmark)
    plan = {"options": dataclasses.asdict(dataclasses.replace(options, dataset="ucf101"))}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match="a reproduction of ucf101, not of synthetic"):
        open_beside(options, benchmark)
