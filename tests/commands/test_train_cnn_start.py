"""Initial weights as epoch 0 of a training, on one worker without Ray."""

import dataclasses
import json
import shutil

import pytest
import torch

from attn.commands.train_cnn import CnnTraining
from attn.commands.train_cnn_plan import make_training
from attn.engine.train.driver import finished
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import load_checkpoint
from attn.training.checkpoints import CheckpointFolder
from attn.training.cnn_learner import CnnLearner
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.recipe import paper_recipe
from attn.training.state import plain
from attn.training.status import StatusWriter


@pytest.fixture
def start(training, tmp_path):
    """Options of a training whose initial weights have a classifier of its classes."""
    torch.manual_seed(1)
    weights = build_backbone("small_cnn", 2).export_weights()
    torch.save({name: tensor.clone() for name, tensor in weights.items()}, tmp_path / "start.pth")
    return dataclasses.replace(
        training, out=str(tmp_path / "cnn.safetensors"), weights=str(tmp_path / "start.pth"), epochs=3, lr=0.05
    )


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Factory of training loops of one worker with given validation accuracies: `alone(options, [0.9, …])`."""

    def make(options, accuracies=None):
        run, job, cnn, *_ = make_training(options)
        cache = job.pictures.cached(tmp_path / "cache", threads=1, tell=lambda done: None)
        checkpoints = CheckpointFolder(run.states, every_s=0)
        learner = CnnLearner(job, cnn, cache, Group.alone(torch.device("cpu")), lambda text: None)
        validated = learner._validate

        def validate(epoch):
            tally = validated(epoch)
            return dataclasses.replace(tally, correct=accuracies[epoch + 1] * tally.images) if accuracies else tally

        monkeypatch.setattr(learner, "_validate", validate)
        return TrainingLoop(learner, StatusWriter(None, rank=1), checkpoints, run_url=job.run_url)

    return make


def epochs_of(worker):
    return [row["epoch"] for row in worker.rows]


@pytest.mark.parametrize(
    ("accuracies", "kept"),
    [([0.9, 0.1, 0.2, 0.8], 0), ([0.9, 0.1, 0.9, 0.8], 0), ([0.5, 0.6, 0.6, 0.1], 2), ([0.5, 0.4, 0.5, 0.9], 3)],
)
def test_the_start_is_kept_unless_an_epoch_is_better(alone, start, accuracies, kept):
    worker = alone(start, accuracies)
    before = plain(worker.learner.backbone.export_weights())
    assert worker.run() is None
    assert epochs_of(worker) == [0, 1, 2, 3]
    assert worker.learner.kept_epoch == kept
    assert worker.rows[0]["train_loss"] is None
    training = CnnTraining(make_training(start))
    training.run.begin({})
    finished(training, worker.learner.state(worker.rows), 1.0)
    report = training.run.report()
    assert report is not None
    assert ("initial weights kept: no epoch was better" in training.verdict(report)) is (kept == 0)
    assert (report["best_epoch"], report["start_accuracy"]) == (kept, accuracies[0])
    assert report["validation_accuracy"] == accuracies[kept]
    written = load_checkpoint(start.out).backbone.export_weights()
    assert all(torch.equal(before[name], tensor) for name, tensor in written.items()) is (kept == 0)


def test_there_is_no_epoch_0_without_a_classifier_to_keep_or_in_the_papers_recipe(alone, start):
    for options in (
        dataclasses.replace(start, weights=None),
        paper_recipe(start),
    ):
        worker = alone(options)
        assert worker.run() is None
        assert epochs_of(worker) == [1, 2, 3]
        shutil.rmtree(worker.checkpoints.url)


def test_a_drawn_classifier_is_chance(alone, start, tmp_path):
    weights = build_backbone("small_cnn", 5).export_weights()
    torch.save({name: tensor.clone() for name, tensor in weights.items()}, tmp_path / "other.pth")
    worker = alone(dataclasses.replace(start, weights=str(tmp_path / "other.pth"), epochs=1))
    assert worker.run() is None
    assert epochs_of(worker) == [1]


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_training_that_was_ended_anywhere_goes_on_to_the_same_end(alone, start, monkeypatch, last):
    accuracies = [0.9, 0.1, 0.2, 0.8]
    whole = alone(start, accuracies)
    before = plain(whole.learner.backbone.export_weights())
    assert whole.run() is None
    expected = dict(whole.checkpoints.restore())
    shutil.rmtree(whole.checkpoints.url)

    broken = alone(start, accuracies)
    trained = broken.learner._epoch

    def ending(epoch):
        if epoch == last:
            raise UsageError("stopped")
        return trained(epoch)

    monkeypatch.setattr(broken.learner, "_epoch", ending)
    assert str(broken.run()) == "stopped"
    again = alone(start, accuracies)
    assert again.run() is None
    found = dict(again.checkpoints.restore())
    assert epochs_of(again) == [0, 1, 2, 3]
    assert found["weights.safetensors"] == expected["weights.safetensors"]
    assert found["kept.safetensors"] == expected["kept.safetensors"]
    assert json.loads(found["state.json"])["kept_epoch"] == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in again.learner.kept.items())
