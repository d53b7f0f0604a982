"""`report` on a reproduction whose scores, trainings and stores are known."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.cell import cell_of, group_of
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.protocol import Benchmark, Split
from attn.eval.metrics import per_class_accuracy
from attn.storage.scores import Scores, scores_parquet
from attn.training.run import TrainRun
from tests.report.pages import parsed, section, table_of

METHODS = ("cnn", "unatt", "energynet", "svm")
VALUE = {"value": 0.5, "interval": [0.4, 0.6], "videos": 12}
PLACE = {"backbone": "small_cnn", "splits": 2, "seeds": 2, "cells": 4, "top_1": VALUE, "top_3": VALUE}
RESULTS = {
    "dataset": "synthetic",
    "figure": "top_1",
    "unit": "video",
    "seeds": [0, 1],
    "web_images": [],
    "methods": [
        {**PLACE, "method": "CNN", "scores": "cnn", "trained_on": "web"},
        {**PLACE, "method": "adapted+UnAtt", "scores": "unatt", "trained_on": "adapted"},
        {**PLACE, "method": "adapted+EnergyNet", "scores": "adapted_energynet", "trained_on": "020"},
        {**PLACE, "method": "NoImage+CNN", "scores": "svm", "trained_on": "noimage"},
    ],
    "pairs": [],
    "gains": [],
    "crossings": [],
    "failed": {"small_cnn/seed1/split2/020/cnn": "out | of memory"},
    "options": {},
}


@pytest.fixture(scope="module")
def benchmark():
    def videos(first, last):
        return {f"v_{name}_g{group:02}_c01": name for group in range(first, last) for name in ("Kick", "Wave")}

    splits = (Split("split1", videos(4, 9), videos(1, 4)), Split("split2", videos(1, 4), videos(4, 9)))
    return Benchmark("synthetic", ("Kick", "Wave"), "videos", "images", 2, "top_1", splits)


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory, benchmark):
    """Folder of a reproduction without trainings and stores, and its scores by cell."""
    from tests.stores import new_manifest

    folder = tmp_path_factory.mktemp("reproduction")
    plan = ReproduceOptions(
        dataset="synthetic", out=str(folder), backbones=("small_cnn",), fractions=(0.2,), seeds=(0, 1), image_free=False
    )
    steps, cells = make_steps(benchmark, plan)
    write_lists(benchmark, plan)
    record = {"options": dataclasses.asdict(plan), "steps": [dataclasses.asdict(step) for step in steps]}
    (folder / "plan.json").write_text(json.dumps(record))
    (folder / "tables.json").write_text(json.dumps(RESULTS))
    random, found = np.random.default_rng(0), {}
    for cell in cells:
        split = next(one for one in benchmark.splits if one.name == cell.split)
        video_ids = sorted(split.test)
        labels = np.array([benchmark.class_names.index(split.test[one]) for one in video_ids], np.int16)
        methods = ("energynet",) if cell.trained_on.startswith("adapted-") else METHODS
        values = {method: random.normal(size=(len(labels), 2)) + np.eye(2)[labels] / 2 for method in methods}
        found[cell] = Scores(video_ids, np.eye(2, dtype=bool)[labels], values)
        (folder / cell.scores).mkdir(parents=True)
        data = scores_parquet(found[cell], new_manifest(class_names=benchmark.class_names))
        (folder / cell.scores / "scores.parquet").write_bytes(data)
    return folder, found


@pytest.fixture(scope="module")
def html(reproduction, tmp_path_factory):
    return made(reproduction[0], tmp_path_factory.mktemp("page") / "page.html")


def made(folder, out):
    assert report(ReportOptions(runs=(str(folder),), out=str(out), examples=0)) == 0
    return out.read_text()


def options_of(html, topic):
    return {one.attributes["data-label"]: one for one in section(html, topic).all("div", class_="option")}


def train(folder, name, rows):
    run = TrainRun(str(folder / f"{name}.safetensors"), {})
    run.begin({})
    run.write_metrics(rows)


def test_the_cell_of_a_step_is_the_one_that_was_planned(two_splits, plan):
    for change in ({"map_source": "out_of_fold", "folds": 2}, {"adapt_to": "all"}):
        steps, cells = make_steps(two_splits, dataclasses.replace(plan, **change))
        assert [cell_of(step.name) for step in steps if step.job == "evaluate"] == cells


def test_trainings_that_differ_in_seed_split_and_fold_share_a_group(two_splits, plan):
    steps, _ = make_steps(two_splits, dataclasses.replace(plan, map_source="out_of_fold", folds=2))
    groups = {group_of(step.name) for step in steps if step.job in ("train_cnn", "train_energynet")}
    own = {f"{share} {name}" for share in ("020", "100") for name in ("cnn", "fold of 2 cnn", "energynet-folds2")}
    adapted = {f"adapted {share} energynet" for share in ("020", "100")}
    assert groups == {f"small_cnn {one}" for one in own | adapted | {"web cnn", "noimage cnn"}}


def test_tables_stand_beside_the_papers_and_a_chart_shows_the_shares(html):
    titles = [head.words for head in section(html, "methods").all("h4")]
    assert titles[:2] == ["Table 4. Without video labels", "Table 5. With video labels, top-1"]
    rows = table_of(section(html, "methods"))
    assert rows[0][-2:] == ["paper on UCF101, top-1", "top-3"]
    assert rows[1][:3] == ["small_cnn", "CNN", "50.0 (40.0 to 60.0)"]
    assert rows[1][-2] == "62.5"
    assert "out | of memory" in section(html, "methods").words
    words = section(html, "shares").one("svg").words
    assert all(name in words for name in ("none", "unlabelled", "20 %", "UnAtt", "EnergyNet, adapted CNN"))
    assert "SVM" not in words  # without Web images, the same share would appear twice


def test_gains_are_means_over_splits_of_means_over_seeds(html, reproduction):
    found = reproduction[1]
    gains = []
    for split in ("split1", "split2"):
        cells = [one for one in found if (one.split, one.trained_on) == (split, "020")]
        assert len(cells) == 2
        by_seed = [
            per_class_accuracy(found[one].by_method["energynet"], found[one].labels)
            - per_class_accuracy(found[one].by_method["cnn"], found[one].labels)
            for one in cells
        ]
        gains.append(np.mean(by_seed, axis=0))
    rows = {row[0]: row[-1] for row in table_of(options_of(html, "gains")["labels of 20 %"])[1:]}
    expected = 100 * np.mean(gains, axis=0)
    assert rows == {"Kick": f"{expected[0]:+.1f}", "Wave": f"{expected[1]:+.1f}"}


def test_the_confusion_counts_every_split_and_seed(html, reproduction):
    cells = [scores for cell, scores in reproduction[1].items() if cell.trained_on == "020"]
    total = sum(len(scores.labels) for scores in cells)
    right = sum((scores.by_method["svm"].argmax(1) == scores.labels).sum() for scores in cells)
    caption = options_of(html, "confusion")["labels of 20 %, SVM"].one("figcaption").words
    assert f"{right} of {total} are right; each video counts 2 times, once per seed." in caption


def test_a_video_has_one_row_with_what_most_seeds_say(html, reproduction):
    """Of two seeds that disagree, neither is more frequent, so the lower class, Kick, is shown."""
    rows = table_of(options_of(html, "videos")["labels of 20 %"])
    both = ["EnergyNet", "EnergyNet, adapted CNN"]
    assert rows[0] == ["video", "split", "class", "methods right", "CNN", "UnAtt", *both, "SVM"]
    cells = [scores for cell, scores in reproduction[1].items() if (cell.split, cell.trained_on) == ("split1", "020")]
    said = {
        video: {int(one.by_method["svm"][i].argmax()) for one in cells} for i, video in enumerate(cells[0].video_ids)
    }
    for video, _, true, *_, svm in rows[1:]:
        if video in said:
            expected = ("Kick", "Wave")[min(said[video])]
            assert svm == ("✓" if true == expected else expected)
    assert len({(row[1], row[0]) for row in rows[1:]}) == len(rows) - 1 == 16


def part_of(reproduction, to):
    """Copy of the reproduction with scores of one cell of each split only, and without tables."""
    shutil.copytree(reproduction[0], to)
    (to / "tables.json").unlink()
    kept = [to / "small_cnn" / "seed0" / place for place in ("split1/020/scores", "split2/adapted/020/scores")]
    for file in to.rglob("scores.parquet"):
        if file.parent not in kept:
            file.unlink()
    return to


def test_an_unfinished_reproduction_shows_what_is_there(tmp_path, reproduction):
    html = made(part_of(reproduction, tmp_path / "part"), tmp_path / "page.html")
    assert table_of(section(html, "runs"))[1][1] == "unfinished reproduction of synthetic, 2 of 16 sets of scores"
    assert "appear when the reproduction has finished" in section(html, "methods").words
    assert "shares" not in [node.attributes["id"] for node in parsed(html).all("section")]
    assert section(html, "confusion").all("svg")
    rows = [row for row in table_of(section(html, "videos")) if row[1] == "split2"]
    assert rows
    assert all(row[4:7] == ["–"] * 3 and row[7] != "–" for row in rows)


def test_trainings_are_found_after_a_move_and_drawn_by_group(tmp_path, reproduction):
    moved = part_of(reproduction, tmp_path / "moved")
    for seed in (0, 1):
        rows = [{"epoch": i, "train_loss": 1 / i, "validation_accuracy": None} for i in (1, 2)]
        train(moved, f"small_cnn/seed{seed}/split1/020/cnn", rows)
    rows = [
        {"update": 100 * i, "loss": 1.0, "active_ranking": 0.5, "candidates": 128 + 384 * (i > 2)} for i in range(4)
    ]
    train(moved, "small_cnn/seed0/split1/020/energynet/energynet", rows)
    found = section(made(moved, tmp_path / "page.html"), "training")
    captions = {one.attributes["data-label"]: one.one("figcaption").words for one in found.all("div", class_="option")}
    assert set(captions) == {"small_cnn 020 cnn", "small_cnn 020 energynet"}
    assert "2 trainings." in captions["small_cnn 020 cnn"]
    assert "One training; the mining switched in 1 (dotted lines)." in captions["small_cnn 020 energynet"]
    assert "active ranking" in found.all("svg")[1].words
    switched = {row[0]: row[4] for row in table_of(found)[1:]}
    assert switched["small_cnn/seed0/split1/020/energynet"] == "300"
    assert switched["small_cnn/seed1/split1/020/cnn"] == "–"
