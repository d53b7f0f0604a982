"""Evaluation of videos with several classes or none, and the jobs that need one class each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.train_energynet_plan import make_energy_training
from attn.datasets.split import read_split
from attn.errors import UsageError
from attn.schema import FEATURES, LOGITS, MAPS
from attn.storage.manifest import Manifest
from attn.training.energynet_options import TrainEnergyNetOptions

CLASSES = ("Wave", "Kick", "Hug", "Jump")
SETS = {
    **{f"v{i:02}": {i % 3, (i * i + 1) % 3} for i in range(18)},
    **{f"background{i}": set[int]() for i in range(6)},
}


@pytest.fixture
def store(tmp_path: Path, new_manifest: Callable[..., Manifest], write_store: Callable[..., str]) -> str:
    """Store of random frames; its logits know the classes a little, and a background video outranks most others."""
    rng = np.random.default_rng(0)
    videos = {}
    for name, classes in SETS.items():
        logits = rng.normal(size=(3, 4)) + [2 * (c in classes) for c in range(4)] + 2 * (name == "background3")
        maps, features = rng.random((3, 4, 4, 4)), rng.normal(size=(3, 4))
        arrays = {
            LOGITS: logits.astype(np.float32),
            MAPS: maps.astype(np.float16),
            FEATURES: features.astype(np.float16),
        }
        videos[name] = arrays
    manifest = new_manifest(class_names=CLASSES, columns=(FEATURES, LOGITS, MAPS))
    labels = {"v00": CLASSES.index("Jump"), "v01": CLASSES.index("Hug")}
    return write_store(str(tmp_path / "store"), manifest, videos, labels=labels)


def plain(label: str, sets: dict[str, set[int]]) -> str:
    rows = [(video, CLASSES[c]) for c in range(4) for video, classes in sets.items() if c in classes]
    rows += [(video, "") for video, classes in sets.items() if not classes]
    return f"video_id,{label}\n" + "".join(f"{video},{name}\n" for video, name in rows)


def segments(sets: dict[str, set[int]]) -> str:
    """One row per segment; every action is seen twice."""
    head, *rows = plain("label", sets).splitlines()
    times = (("", "") if row.endswith(",") else (i, i + 2.5) for row in rows for i in (0, 7))
    doubled = [f"{row},{start},{end}" for row, (start, end) in zip((r for r in rows for _ in "ab"), times, strict=True)]
    return "\n".join([f"{head},start_s,end_s", *dict.fromkeys(doubled)])


@pytest.fixture
def run(store: str, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], Path]]:
    """run(text): metrics and folder of an evaluation of the videos of a table."""

    def evaluated(text: str, **flags: Any) -> tuple[dict[str, Any], Path]:
        table, out = tmp_path / "test.csv", tmp_path / "out"
        table.write_text(text)
        assert evaluate(EvaluateOptions(store, str(table), str(out), **flags)) == 0
        return json.loads((out / "metrics.json").read_text()), out

    return evaluated


@pytest.mark.parametrize("text", [plain("labels", SETS), segments(SETS)], ids=["labels", "segments"])
def test_figures_follow_from_the_scores(run: Callable[..., tuple[dict[str, Any], Path]], text: str) -> None:
    metrics, out = run(text)
    frame = pl.read_parquet(out / "scores.parquet")
    for name, found in metrics["methods"].items():
        rows = frame.filter(pl.col("method") == name)
        assert dict(zip(rows["video_id"], map(set, rows["labels"].to_list()), strict=True)) == SETS
        scores = rows["scores"].to_numpy()
        truth = np.array([[c in SETS[video] for c in range(4)] for video in rows["video_id"]])
        aps = [average_precision_score(truth[:, c], scores[:, c]) for c in range(3)]
        if name in ("cnn_average", "unatt"):  # votes have ties, which scikit-learn treats otherwise
            assert found["map_noninterpolated"]["value"] == pytest.approx(np.mean(aps))
            assert list(found["per_class"].values()) == [*map(pytest.approx, aps), None]
        labelled = truth.any(axis=1)
        right = truth[labelled, scores[labelled].argmax(axis=1)]
        assert found["hit_1"]["value"] == pytest.approx(right.mean())
        assert (found["videos"], found["background_videos"]) == (24, 6)
    assert metrics["relabelled"] == {"videos": 1, "ids": ["v00"]}  # v01 shows Kick too
    difference = metrics["paired"]["unatt - cnn"]["map_difference"]
    sides = [metrics["methods"][name]["map_noninterpolated"]["value"] for name in ("unatt", "cnn")]
    assert difference["value"] == pytest.approx(sides[0] - sides[1])


def test_background_videos_are_negatives(run: Callable[..., tuple[dict[str, Any], Path]]) -> None:
    labelled = {video: classes for video, classes in SETS.items() if classes}
    found = [run(plain("labels", sets), methods=("unatt",))[0] for sets in (SETS, labelled)]
    figures = [one["methods"]["unatt"] for one in found]
    assert figures[0]["hit_1"]["value"] == figures[1]["hit_1"]["value"]
    assert figures[0]["map_noninterpolated"]["value"] < figures[1]["map_noninterpolated"]["value"]


def test_a_table_of_one_class_each_gives_the_figures_of_one_class(
    run: Callable[..., tuple[dict[str, Any], Path]],
) -> None:
    single = {video: {min(classes)} for video, classes in SETS.items() if classes}
    tables = (plain("label", single), plain("labels", single), segments(single))
    found = [run(text, methods=("unatt",))[0]["methods"] for text in tables]
    assert "top_1" in found[0]["unatt"]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video_id,label\nv00,Wave\nv01,Kick\nv00,Kick\n", r"test.csv, row 3: video 'v00' appears twice"),
        ("video_id,label\nv00,Wave\nbackground0,\n", r"test.csv: row 2 lacks a video_id or a label"),
        ("video_id,labels\nbackground0,\nbackground1,\n", r"test\.csv: no video to test has a class\. List"),
        ("video_id,labels\nv00,Wave\nnowhere,\n", r"1 of the 2 videos of .* are missing: nowhere\."),
    ],
)
def test_a_table_that_is_wrong_is_refused(run: Callable[..., Any], tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(text)
    assert not (tmp_path / "out").exists()


def test_trainings_need_one_class_each(store: str, run: Callable[..., Any], tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text(plain("labels", SETS))
    said = r"train\.csv, row \d+: video 'v\d+' has several classes \(.+\), but each video needs exactly one here"
    with pytest.raises(UsageError, match=said):
        run("video_id,label\nv00,Wave\n", methods=("svm",), train_split=str(train))
    with pytest.raises(UsageError, match=said):
        make_energy_training(TrainEnergyNetOptions(store=store, split=str(train), out=str(tmp_path / "net")))
    with pytest.raises(UsageError, match=said):
        read_split(str(train), part="train")  # as train_cnn reads the classes of its list


def test_svms_of_one_class_each_are_tested_on_several(run: Callable[..., Any], tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("video_id,label\n" + "".join(f"v0{i},{CLASSES[i % 4]}\n" for i in range(8)))
    others, unseen = ({one: SETS[one] for one in [*SETS][first:]} for first in (6, 8))
    with pytest.raises(UsageError, match=r"v06, v07: both in --split .* and in --train-split"):
        run(plain("labels", others), methods=("svm",), train_split=str(train))
    metrics, _ = run(plain("labels", unseen), methods=("svm",), train_split=str(train))
    assert metrics["methods"]["svm"]["videos"] == len(unseen)


def test_a_page_has_rankings_and_no_accuracies(run: Callable[..., Any], tmp_path: Path) -> None:
    _, out = run(plain("labels", SETS))
    page = tmp_path / "report.html"
    assert report(ReportOptions(runs=(str(out),), out=str(page), examples=0)) == 0
    html = page.read_text()
    for heading in ("mAP nonint., %", "Hit@1, %", "mAP, points", "Average precision by class"):
        assert heading in html
    assert "top-1" not in html
    assert 'id="confusion"' not in html
    assert "Wave, Kick" in html
