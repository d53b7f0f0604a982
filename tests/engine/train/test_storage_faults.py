"""Trainings on a full disk or with damaged checkpoints: one-line errors, and intact checkpoints are used."""

import dataclasses
import json
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch

from attn.commands.cli import run
from attn.commands.train_cnn import train_cnn
from attn.engine.exit_codes import EXIT_USAGE
from attn.models.checkpoint import load_checkpoint

DISK_BYTES = 32 << 20


@pytest.fixture(scope="module")
def whole(training, tmp_path_factory):
    """Options of an uninterrupted training."""
    options = dataclasses.replace(training, epochs=8, out=str(tmp_path_factory.mktemp("whole") / "cnn.safetensors"))
    assert train_cnn(options) == 0
    return options


@pytest.fixture
def small_disk(tmp_path):
    """Folder on a disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def same_weights(one, other):
    first, second = (load_checkpoint(options.out).backbone.export_weights() for options in (one, other))
    return all(torch.equal(first[name], tensor) for name, tensor in second.items())


def folder_of(options):
    return Path(options.out.removesuffix(".safetensors") + ".train")


def states_of(options):
    return sorted(folder_of(options).glob("*/states/state-*"))


def fill(folder, options, *, rows):
    """Fill the disk once the metrics have this number of rows."""
    metrics = folder_of(options) / "metrics.jsonl"
    until_s = time.monotonic() + 120
    while time.monotonic() < until_s and not (metrics.exists() and len(metrics.read_text().splitlines()) >= rows):
        time.sleep(0.01)
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def error_of(capsys):
    """Return the only error line of a job that ends with exit code 2."""
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    return said[0]


@pytest.mark.long
def test_a_disk_that_is_full_ends_it_with_a_line_and_with_room_it_goes_on(whole, small_disk, capsys, caplog):
    options = dataclasses.replace(whole, out=str(small_disk / "cnn.safetensors"))
    filling = threading.Thread(target=fill, args=(small_disk, options), kwargs={"rows": 2})
    filling.start()
    assert run(train_cnn, options) == EXIT_USAGE
    filling.join()
    line = error_of(capsys)
    assert "no space left" in line
    assert str(small_disk) in line
    assert len(states_of(options)) == 2
    (small_disk / "ballast").unlink()
    with caplog.at_level("INFO"):
        assert run(train_cnn, options) == 0
    assert "resuming after epoch" in caplog.text
    assert ": damaged" not in caplog.text
    assert same_weights(options, whole)


@pytest.fixture
def stopped(whole, tmp_path, monkeypatch):
    """Options of an unfinished training with two checkpoints."""
    options = dataclasses.replace(whole, out=str(tmp_path / "cnn.safetensors"))
    with monkeypatch.context() as change:
        change.setattr("attn.commands.train_cnn.save_checkpoint", _stop)
        with pytest.raises(KeyboardInterrupt):
            train_cnn(options)
    assert len(states_of(options)) == 2
    return options


def _stop(*_):
    raise KeyboardInterrupt


def damage(state):
    """Overwrite a range with zeros, as after a lost write."""
    with (state / "weights.safetensors").open("r+b") as file:
        file.seek(600)
        file.write(bytes(512))


@pytest.mark.long
def test_a_damaged_state_is_named_in_a_warning_and_the_one_before_is_taken(whole, stopped, caplog):
    last = states_of(stopped)[-1]
    damage(last)
    with caplog.at_level("INFO"):
        assert run(train_cnn, stopped) == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        f"{last}: damaged (weights.safetensors does not match its checksum). Ignoring this checkpoint.",
    ]
    assert "resuming after epoch 7 of 8" in caplog.text
    assert same_weights(stopped, whole)


@pytest.mark.long
def test_all_states_damaged_is_one_line_and_nothing_is_deleted(stopped, capsys):
    for state in states_of(stopped):
        damage(state)
    files = [path for path in folder_of(stopped).rglob("*") if path.is_file()]
    (folder_of(stopped) / "metrics.jsonl").write_bytes(bytes(100))
    assert run(train_cnn, stopped) == EXIT_USAGE
    line = error_of(capsys)
    assert all(str(state) in line for state in states_of(stopped))
    assert "Restore one from a backup" in line
    assert all(path.exists() for path in files)


def test_a_loss_that_is_not_finite_is_one_line_and_exit_code_2(training, tmp_path, capsys):
    options = dataclasses.replace(training, out=str(tmp_path / "cnn.safetensors"), head_lr=1e30)
    assert run(train_cnn, options) == EXIT_USAGE
    line = error_of(capsys)
    assert "the loss is not finite at epoch 1, update " in line
    assert "the learning rate is probably too high" in line
    assert not Path(options.out).exists()


def test_the_report_says_which_epoch_is_kept(whole):
    report = json.loads((folder_of(whole) / "report.json").read_text())
    rows = [json.loads(line) for line in (folder_of(whole) / "metrics.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: (row["validation_accuracy"], row["epoch"]))
    assert report["best_epoch"] == best["epoch"]
