"""Trainings of a few seconds on a real local Ray: 32-pixel images of two colours."""

import dataclasses
import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.engine.options import TrainCnnOptions
from attn.engine.train_cnn import train_cnn
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint

EPOCHS = 3
IMAGES = 11


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes of eleven noisy images, one redder, one bluer; and two files that are no images."""
    folder, random = tmp_path_factory.mktemp("web"), np.random.default_rng(0)
    for name, channel in (("cold", 2), ("warm", 0)):
        (folder / name).mkdir()
        for number in range(IMAGES):
            pixels = random.integers(0, 128, (34, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
        (folder / name / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    return folder


@pytest.fixture(scope="module")
def options(photographs):
    """A training whose last batch is smaller than the others, and whose batches two workers cannot halve."""
    return TrainCnnOptions(
        images=str(photographs),
        backbone="small_cnn",
        out="",
        input_size=32,
        epochs=EPOCHS,
        batch_size=7,
        head_lr=0.3,
        batchnorm="frozen",
    )


@pytest.fixture(scope="module")
def trained(ray_local, options, tmp_path_factory):
    """Options of a finished training."""
    finished = dataclasses.replace(options, out=str(tmp_path_factory.mktemp("out") / "cnn.safetensors"))
    assert train_cnn(finished) == 0
    return finished


def folder_of(options):
    return Path(options.out.removesuffix(".safetensors") + ".train")


def rows_of(options):
    path = folder_of(options) / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def weights_of(options):
    return load_checkpoint(options.out).backbone.export_weights()


def largest_difference(one, other):
    return max((one[name].float() - other[name].float()).abs().max().item() for name in one)


def test_it_learns_and_says_how(trained, photographs):
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
    assert len(rows_of(trained)) == EPOCHS
    report = (folder_of(trained) / "report.json").read_text()
    assert "cold/broken.jpg" in report
    assert '"best_epoch": ' in report


def test_a_finished_training_is_not_done_again(trained, caplog):
    before = Path(trained.out).stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        assert train_cnn(trained) == 0
    assert "finished already: validation accuracy 1.000" in caplog.text
    assert Path(trained.out).stat().st_mtime_ns == before


def test_other_options_are_refused_with_the_difference(trained):
    with pytest.raises(UsageError, match=r"epochs: 4 here, 3 there; seed: 1 here, 0 there"):
        train_cnn(dataclasses.replace(trained, epochs=4, seed=1))


def test_two_workers_learn_what_one_learns(trained, tmp_path):
    two = dataclasses.replace(trained, out=str(tmp_path / "cnn.safetensors"), workers=2)
    assert train_cnn(two) == 0
    assert largest_difference(weights_of(two), weights_of(trained)) < 1e-5


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
    assert largest_difference(weights_of(again), weights_of(trained)) == 0
    assert [line.split(":")[0] for line in caplog.messages if line.startswith("epoch ")] == [
        f"epoch {epoch}/{EPOCHS}" for epoch in range(1, EPOCHS + 1)
    ]
    assert list((tmp_path / "cache").glob("*/manifest.json"))


def test_a_loss_that_is_not_finite_ends_it_with_epoch_and_update(ray_local, options, tmp_path):
    wild = dataclasses.replace(options, out=str(tmp_path / "cnn.safetensors"), head_lr=1e30, lr=1e30)
    with pytest.raises(UsageError, match=r"not finite at epoch 1, update [123]; lower --lr"):
        train_cnn(wild)
    assert not list(tmp_path.iterdir())


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
