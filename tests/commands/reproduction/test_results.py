"""Figures of the tables, computed from score files, some of which are missing."""

import dataclasses

import numpy as np
import pytest

from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.commands.reproduction.results import collect
from attn.datasets.protocol import Benchmark, Split
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
    """Scores by cell for two seeds, three shares and two splits, also written to files."""
    found, random = {}, np.random.default_rng(0)
    for seed in (0, 1):
        for split, count in VIDEOS.items():
            for share in SHARES:
                cell = Cell("resnet18", seed, split, share, f"{seed}-{split}-{share}")
                labels = np.arange(count, dtype=np.int16) % 3
                values = {method: random.normal(size=(count, 3)) + np.eye(3)[labels] for method in METHODS}
                scores = Scores([f"{split}-{i:02}" for i in range(count)], np.eye(3, dtype=bool)[labels], values)
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
    """Difference between two methods' accuracies, computed in plain loops: mean over splits of the mean over seeds."""
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


def test_labels_are_compared_with_the_best_that_needs_none(tmp_path, benchmark, cells, new_manifest):
    """Scores of two shares stand in: one for the adapted CNN, one for an EnergyNet on its maps."""
    free = {dataclasses.replace(cell, trained_on="adapted"): cell for cell in cells if cell.trained_on == "010"}
    few = {dataclasses.replace(cell, trained_on="adapted-020"): cell for cell in cells if cell.trained_on == "100"}
    for cell in few.values():
        only = Scores(cells[cell].video_ids, cells[cell].positives, {"energynet": cells[cell].by_method["energynet"]})
        parquet = scores_parquet(only, new_manifest(class_names=NAMES))
        (tmp_path / cell.scores / "scores.parquet").write_bytes(parquet)
    tuned = [cell for cell in cells if cell.trained_on == "020"]
    results = collected(tmp_path, benchmark, [*free, *tuned, *few])
    best = max(METHODS, key=lambda method: accuracy(cells, "010", method))
    second = "adapted+" + {"cnn": "CNN", "unatt": "UnAtt", "energynet": "EnergyNet", "svm": "SVM"}[best]
    pairs = {
        one["first"]: one["value"] for one in results["pairs"] if (one["second"], one["trained_on"]) == (second, "020")
    }
    for share, method, name in (("020", "svm", "finetune+SVM"), ("100", "energynet", "adapted+EnergyNet")):
        assert pairs[name] == pytest.approx(accuracy(cells, share, method) - accuracy(cells, "010", best))
    assert {one["trained_on"] for one in results["pairs"]} == {"adapted", "020"}


def test_few_videos_with_attention_are_compared_with_more_without(tmp_path, benchmark, cells):
    (found,) = collected(tmp_path, benchmark, list(cells))["crossings"]
    assert (found["few"], found["many"], found["videos"]) == ("010", "020", sum(VIDEOS.values()))
    assert found["value"] == pytest.approx(accuracy(cells, "010", "energynet") - accuracy(cells, "020", "cnn"))


def without(cells, *missing):
    """All cells except those of some (seed, split, share)."""
    return {cell: one for cell, one in cells.items() if (cell.seed, cell.split, cell.trained_on) not in missing}


def test_a_missing_cell_leaves_only_the_seeds_that_both_sides_have(tmp_path, benchmark, cells):
    """Without its first cell, the smaller share starts with the second split and has one seed of the first."""
    missing = without(cells, (0, "split1", "010"))
    paired = without(cells, *((0, "split1", share) for share in SHARES))
    results = collected(tmp_path, benchmark, list(missing))
    (gain,), (crossing,) = results["gains"], results["crossings"]
    assert gain["value"] == pytest.approx(
        by_hand(paired, "100", "energynet", "cnn") - by_hand(paired, "010", "energynet", "cnn")
    )
    assert crossing["value"] == pytest.approx(accuracy(paired, "010", "energynet") - accuracy(paired, "020", "cnn"))
    for found in (gain, crossing):
        assert (found["splits"], found["seeds"], found["cells"]) == (2, 2, 3)
        assert found["videos"] == sum(VIDEOS.values())


def test_sides_without_a_seed_in_common_are_not_compared(tmp_path, benchmark, cells):
    missing = without(cells, (0, "split1", "010"), (1, "split1", "020"), (1, "split1", "100"))
    results = collected(tmp_path, benchmark, list(missing))
    assert results["gains"] == []
    assert results["crossings"] == []


def test_a_split_that_one_side_lacks_is_not_left_out_of_the_other(tmp_path, benchmark, cells):
    results = collected(tmp_path, benchmark, list(without(cells, *((seed, "split1", "010") for seed in (0, 1)))))
    assert results["gains"] == []
    assert results["crossings"] == []


def test_a_pair_rests_on_the_cells_that_have_both_methods(tmp_path, benchmark, cells, new_manifest):
    cell, scores = next(iter(cells.items()))
    no_svm = Scores(scores.video_ids, scores.positives, {name: scores.by_method[name] for name in METHODS[:3]})
    path = tmp_path / cell.scores / "scores.parquet"
    path.write_bytes(scores_parquet(no_svm, new_manifest(class_names=NAMES)))
    results = collected(tmp_path, benchmark, list(cells))
    pairs = {one["first"]: one for one in results["pairs"] if one["trained_on"] == cell.trained_on}
    paired = without(cells, (cell.seed, cell.split, cell.trained_on))
    assert pairs["finetune+SVM"]["value"] == pytest.approx(by_hand(paired, cell.trained_on, "svm", "cnn"))
    # The last pair whose first method is the EnergyNet compares it with the SVM.
    found = pairs["finetune+EnergyNet"]
    assert found["value"] == pytest.approx(by_hand(paired, cell.trained_on, "energynet", "svm"))
    assert (found["second"], found["cells"]) == ("finetune+SVM", 3)


def test_missing_cells_are_counted(tmp_path, benchmark, cells):
    missing = without(cells, (0, "split1", "010"), (0, "split1", "020"), (1, "split2", "020"))
    results = collected(tmp_path, benchmark, list(missing))
    counts = {one["trained_on"]: (one["splits"], one["seeds"], one["cells"]) for one in results["methods"]}
    assert counts == {"010": (2, 2, 3), "020": (2, 2, 2), "100": (2, 2, 4)}
    assert {one["trained_on"]: (one["splits"], one["seeds"], one["cells"]) for one in results["pairs"]} == counts


def test_scores_that_cannot_be_read_are_named(tmp_path, benchmark, cells):
    (tmp_path / "1-split2-100" / "scores.parquet").write_bytes(b"no parquet")
    results = collected(tmp_path, benchmark, list(cells))
    assert list(results["failed"]) == ["1-split2-100"]
    assert "not a file of evaluation scores" in results["failed"]["1-split2-100"]


def test_methods_are_compared_on_the_videos_that_all_have(tmp_path, benchmark, cells, new_manifest):
    cell, scores = next((cell, scores) for cell, scores in cells.items() if cell.split == "split2")
    fewer = Scores(scores.video_ids[5:], scores.positives[5:], {name: v[5:] for name, v in scores.by_method.items()})
    path = tmp_path / cell.scores / "scores.parquet"
    path.write_bytes(scores_parquet(fewer, new_manifest(class_names=NAMES)))
    results = collected(tmp_path, benchmark, list(cells))
    assert {one["top_1"]["videos"] for one in results["methods"]} == {12 + 25}


def test_the_papers_numbers_stand_beside_ours(tmp_path, benchmark, cells):
    of_paper = {dataclasses.replace(cell, backbone="resnet101"): scores for cell, scores in cells.items()}
    ours = collected(tmp_path, dataclasses.replace(benchmark, name="ucf101"), list(of_paper))
    paper = {(one["trained_on"], one["method"]): one["paper"] for one in ours["methods"]}
    assert paper["100", "finetune+EnergyNet"] == {"top_1": 88.0}
    assert paper["020", "finetune+CNN"] == {"top_1": "about 81.9 (gain of 3.1)"}
    assert paper["020", "finetune+SVM"] == {}
    assert not any(one["paper"] for one in collected(tmp_path, benchmark, list(of_paper))["methods"])


@pytest.mark.parametrize(("size", "unit"), [(2, "group"), (4, "video")])
def test_groups_are_drawn_whole_if_there_are_enough(tmp_path, benchmark, cells, size, unit):
    """Resampling groups of two videos gives wider intervals; a split of a few groups is resampled by videos."""
    grouped = dataclasses.replace(
        benchmark, group_of=lambda video_id: int(video_id.split("-")[1]) // size, across_classes=True
    )
    plain, found = collected(tmp_path, benchmark, cells), collected(tmp_path, grouped, cells)
    assert found["unit"] == unit
    same = [one["top_1"] for one in plain["methods"]] == [one["top_1"] for one in found["methods"]]
    assert same == (unit == "video")
    assert [one["top_1"]["value"] for one in plain["methods"]] == [one["top_1"]["value"] for one in found["methods"]]
