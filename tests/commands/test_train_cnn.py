"""Complete trainings of a CNN on a local Ray."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import pytest
from PIL import Image

from attn.commands.train_cnn import train_cnn
from attn.commands.train_cnn_plan import make_training
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint


def folder_of(options):
    return Path(options.out.removesuffix(".safetensors") + ".train")


def rows_of(options):
    path = folder_of(options) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_learns_and_says_how(trained):
    cnn = load_checkpoint(trained.out)
    assert cnn.class_names == ("cold", "warm")
    assert cnn.input_size == 32
    assert cnn.trained["validation_accuracy"] == 1.0
    assert cnn.trained["images"] == {"trained": 16, "validated": 6}
    assert cnn.trained["skipped"] == 2
    assert cnn.trained["options"]["seed"] == 0
    assert "torch" in cnn.trained["packages"]


def test_the_folder_beside_it_holds_metrics_and_a_report_and_no_checkpoints(trained):
    names = {path.name.split(".")[0] for path in folder_of(trained).iterdir()}
    assert names == {"run", "metrics", "report", "events"}
    rows = rows_of(trained)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    report = json.loads((folder_of(trained) / "report.json").read_text())
    assert set(report["skipped"]) == {"cold/broken.jpg", "warm/broken.jpg"}
    assert len(report["validation_images"]) == 6
    best = max(rows, key=lambda row: (row["validation_accuracy"], row["epoch"]))
    assert report["best_epoch"] == best["epoch"]


def test_a_finished_training_is_not_done_again(trained, caplog):
    before = Path(trained.out).stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        assert train_cnn(trained) == 0
    assert "already finished: validation accuracy 1.000" in caplog.text
    assert Path(trained.out).stat().st_mtime_ns == before


def test_other_options_are_refused_with_the_difference(trained):
    with pytest.raises(UsageError, match=r"epochs: 5 here, 4 there; seed: 1 here, 0 there"):
        train_cnn(dataclasses.replace(trained, epochs=5, seed=1))


def test_a_command_that_is_refused_takes_nothing_from_the_same_one(training, tmp_path):
    options = dataclasses.replace(training, out=str(tmp_path / "cnn.safetensors"), gpu=True)
    make_training(options).run.begin({})  # like a run that is still starting
    with pytest.raises(UsageError, match="GPU"):
        train_cnn(options)
    assert [path.name for path in folder_of(options).iterdir()] == ["run.json"]


def test_near_duplicates_are_left_out_and_named(training, photographs, tmp_path):
    web = tmp_path / "web"
    shutil.copytree(photographs, web)
    with Image.open(web / "cold" / "03.png") as image:
        image.save(web / "cold" / "again.bmp")
    with Image.open(web / "warm" / "05.png") as image:
        image.save(web / "cold" / "other class.png")
    options = dataclasses.replace(
        training, images=str(web), out=str(tmp_path / "cnn.safetensors"), epochs=1, near_duplicates=0.88
    )
    assert train_cnn(options) == 0
    report = json.loads((folder_of(options) / "report.json").read_text())
    assert report["skipped"]["cold/again.bmp"] == "cold/again.bmp is a near-duplicate of cold/03.png"
    assert "cold/other class.png" not in report["skipped"]
    assert sum(report["images"].values()) == 23
