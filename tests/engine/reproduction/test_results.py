"""Figures of the tables from the score files of cells, some of them missing."""

import numpy as np
import pytest

from attn.datasets.protocol import Benchmark, Split
from attn.engine.options import ReproduceOptions
from attn.engine.reproduction.experiment import Cell
from attn.engine.reproduction.results import collect
from attn.eval.metrics import top_k_accuracy
from attn.storage.scores import Scores, scores_parquet

NAMES = ("Hug", "Kick", "Wave")
VIDEOS = {"split1": 12, "split2": 30}
SHARES = ("010", "020", "100")
METHODS = ("cnn", "unatt", "energynet", "svm")


@pytest.fixture
def benchmark():
    test = {split: {f"{split}-{i:02}": NAMES[i % 3] for i in range(count)} for split, count in VIDEOS.items()}
    splits = tuple(Split(split, {"other": "Hug"}, videos) for split, videos in test.items())
    return Benchmark("synthetic", NAMES, "videos", None, 2, "top_1", splits)


@pytest.fixture
def cells(tmp_path, new_manifest):
    """All cells of two seeds, three shares and two splits, with their scores; and those scores."""
    found, random = {}, np.random.default_rng(0)
    for seed in (0, 1):
        for split, count in VIDEOS.items():
            for share in SHARES:
                cell = Cell("resnet18", seed, split, share, f"{seed}-{split}-{share}")
                labels = np.arange(count, dtype=np.int16) % 3
                values = {method: random.normal(size=(count, 3)) + np.eye(3)[labels] for method in METHODS}
                scores = Scores([f"{split}-{i:02}" for i in range(count)], labels, values)
                (tmp_path / cell.scores).mkdir()
                (tmp_path / cell.scores / "scores.parquet").write_bytes(
                    scores_parquet(scores, new_manifest(class_names=NAMES))
                )
                found[cell] = scores
    return found


def collected(tmp_path, benchmark, cells):
    options = ReproduceOptions(dataset="synthetic", out=str(tmp_path), seeds=(0, 1))
    return collect(options, benchmark, cells, {})


def by_hand(cells, share, first, second):
    """Mean over splits of the mean over seeds, one video after the other."""
    return accuracy(cells, share, first) - accuracy(cells, share, second)


def accuracy(cells, share, method):
    of_splits = []
    for split in VIDEOS:
        mine = [scores for cell, scores in cells.items() if (cell.split, cell.trained_on) == (split, share)]
        of_splits.append(np.mean([top_k_accuracy(scores.by_method[method], scores.labels) for scores in mine]))
    return np.mean(of_splits)


def test_pairs_and_gains_are_those_by_hand(tmp_path, benchmark, cells):
    results = collected(tmp_path, benchmark, list(cells))
    pairs = {(one["trained_on"], one["first"], one["second"]): one["value"] for one in results["pairs"]}
    for share in SHARES:
        expected = by_hand(cells, share, "energynet", "cnn")
        assert pairs[share, "finetune+EnergyNet", "finetune+CNN"] == pytest.approx(expected)
    (gain,) = results["gains"]
    assert (gain["from"], gain["to"]) == ("010", "100")
    assert gain["value"] == pytest.approx(
        by_hand(cells, "100", "energynet", "cnn") - by_hand(cells, "010", "energynet", "cnn")
    )


def test_few_videos_with_attention_are_compared_with_more_without(tmp_path, benchmark, cells):
    (found,) = collected(tmp_path, benchmark, list(cells))["crossings"]
    assert (found["few"], found["many"], found["videos"]) == ("010", "020", sum(VIDEOS.values()))
    assert found["value"] == pytest.approx(accuracy(cells, "010", "energynet") - accuracy(cells, "020", "cnn"))


def test_a_missing_cell_does_not_pair_one_split_with_another(tmp_path, benchmark, cells):
    """Without its first cell the smaller share meets the second split first."""
    left = {
        cell: scores
        for cell, scores in cells.items()
        if (cell.seed, cell.split, cell.trained_on) != (0, "split1", "010")
    }
    results = collected(tmp_path, benchmark, list(left))
    (gain,) = results["gains"]
    assert gain["value"] == pytest.approx(
        by_hand(left, "100", "energynet", "cnn") - by_hand(left, "010", "energynet", "cnn")
    )
    assert gain["videos"] == sum(VIDEOS.values())


def test_scores_that_cannot_be_read_are_named(tmp_path, benchmark, cells):
    (tmp_path / "1-split2-100" / "scores.parquet").write_bytes(b"no parquet")
    results = collected(tmp_path, benchmark, list(cells))
    assert list(results["failed"]) == ["1-split2-100"]
    assert "holds no scores" in results["failed"]["1-split2-100"]


def test_methods_are_compared_on_the_videos_that_all_have(tmp_path, benchmark, cells, new_manifest):
    cell, scores = next((cell, scores) for cell, scores in cells.items() if cell.split == "split2")
    fewer = Scores(scores.video_ids[5:], scores.labels[5:], {name: v[5:] for name, v in scores.by_method.items()})
    path = tmp_path / cell.scores / "scores.parquet"
    path.write_bytes(scores_parquet(fewer, new_manifest(class_names=NAMES)))
    results = collected(tmp_path, benchmark, list(cells))
    assert {one["top_1"]["videos"] for one in results["methods"]} == {12 + 25}
