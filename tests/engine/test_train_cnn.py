"""Whole trainings on a real local Ray."""

import dataclasses
import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from attn.engine.train_cnn import train_cnn
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
    assert "finished already: validation accuracy 1.000" in caplog.text
    assert Path(trained.out).stat().st_mtime_ns == before


def test_other_options_are_refused_with_the_difference(trained):
    with pytest.raises(UsageError, match=r"epochs: 5 here, 4 there; seed: 1 here, 0 there"):
        train_cnn(dataclasses.replace(trained, epochs=5, seed=1))


def test_a_killed_worker_costs_an_epoch_and_changes_nothing(ray_local, trained, tmp_path, caplog):
    again = dataclasses.replace(trained, out=str(tmp_path / "cnn.safetensors"), cache=str(tmp_path / "cache"))
    killed = []

    def kill():
        while not rows_of(again):
            time.sleep(0.02)
        killed.append(_worker_pid(ray_local))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with caplog.at_level(logging.INFO):
        assert train_cnn(again) == 0
    thread.join()
    assert killed
    unbroken = load_checkpoint(trained.out).backbone.export_weights()
    assert all(
        torch.equal(unbroken[name], tensor)
        for name, tensor in load_checkpoint(again.out).backbone.export_weights().items()
    )
    assert [row["epoch"] for row in rows_of(again)] == [1, 2, 3, 4]
    assert any(line.startswith("workers were lost; resuming after epoch") for line in caplog.messages)
    assert list((tmp_path / "cache").glob("*/manifest.json"))


def _worker_pid(ray):
    """Process of the training worker of this very Ray: others may run on the machine."""
    raylet = ray._private.worker._global_node.all_processes["raylet"][0].process.pid
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, parent = (
                status.with_name("cmdline").read_bytes(),
                int(status.read_text().rsplit(")", 1)[1].split()[1]),
            )
        except OSError:
            continue
        if parent == raylet and b"RayTrainWorker" in name:
            return int(status.parent.name)
    raise AssertionError("no training worker")
