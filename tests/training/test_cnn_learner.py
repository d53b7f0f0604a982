import dataclasses
import re
import shutil
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import safetensors.torch
import torch

from attn.commands.train_cnn_plan import make_training
from attn.errors import UsageError
from attn.training.checkpoints import CheckpointFolder
from attn.training.cnn_learner import CnnLearner
from attn.training.cnn_pictures import agreed
from attn.training.diverged import DivergedError
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.pixels import ImageCache
from attn.training.state import State, plain
from attn.training.status import StatusWriter


class TwoMachines:
    """Group of this worker and another one whose answer is fixed."""

    def __init__(self, refusal, skipped):
        self.other = refusal, skipped

    def gather(self, value):
        return [value, self.other]


def agreed_with(other, skipped):
    pictures = SimpleNamespace(labels=np.array([0, 0, 1, 1, 1]))
    job = SimpleNamespace(pictures=pictures, class_names=("cold", "warm"))
    cache = ImageCache(np.zeros((5, 2, 2, 3), np.uint8), skipped)
    return agreed(cast("Any", job), cache, None, cast("Any", other))


def test_workers_leave_out_what_any_machine_cannot_read():
    cache, refusal = agreed_with(TwoMachines(None, {0: "gone"}), {3: "broken"})
    assert refusal is None
    assert cache is not None
    assert cache.skipped == {0: "gone", 3: "broken"}


def test_workers_refuse_together():
    assert agreed_with(TwoMachines("no disk", {}), {}) == (None, "no disk")
    cache, refusal = agreed_with(TwoMachines(None, {0: "gone"}), {1: "broken"})
    assert cache is None
    assert "class cold: none of its images can be read" in refusal


@pytest.fixture
def alone(training, tmp_path):
    """Factory of training loops of one worker without Ray Train: `alone(head_lr=…)`."""

    def make(**settings):
        options = dataclasses.replace(training, out=str(tmp_path / "cnn.safetensors"), **settings)
        _, job, cnn, *_ = make_training(options)
        cache = job.pictures.cached(tmp_path / "cache", threads=1, tell=lambda done: None)
        checkpoints = CheckpointFolder(str(tmp_path / "states"), every_s=0)
        learner = CnnLearner(job, cnn, cache, Group.alone(torch.device("cpu")), lambda text: None)
        return TrainingLoop(learner, StatusWriter(None, rank=1), checkpoints, run_url=job.run_url)

    return make


def test_the_rates_fall_when_and_as_far_as_asked_for(alone):
    """Each row contains the last rate of its epoch: of updates 3, 6 and 9, with decay after half of the 9 updates."""
    worker = alone(epochs=3, lr_decay_after=0.5, lr_decay=0.2).learner
    assert worker.updates == 3
    assert [worker._epoch(epoch)["lr"] for epoch in range(3)] == pytest.approx([0.3, 0.06, 0.06])


def test_a_loss_that_is_not_finite_ends_it_with_epoch_and_update(alone, tmp_path):
    why = alone(head_lr=1e30).run()
    assert isinstance(why, DivergedError)
    said = r"the loss is not finite at epoch 1, update [123]: the learning rate is probably too high\. Lower --lr and"
    assert re.match(said, str(why))
    assert CheckpointFolder(str(tmp_path / "states")).restore() is None


def test_weights_that_are_not_finite_are_never_kept(alone, tmp_path, monkeypatch):
    """The loss of the last update is finite, but not the weights after it, and no image is held out to detect this."""
    loop = alone(epochs=3)
    worker, trained = loop.learner, loop.learner._train

    def breaking(epoch):
        tally = trained(epoch)
        if epoch == 1:
            worker.held = []
            with torch.no_grad():
                next(worker.backbone.parameters())[0].fill_(torch.nan)
        return tally

    monkeypatch.setattr(worker, "_train", breaking)
    why = loop.run()
    assert isinstance(why, DivergedError)
    assert re.match(r"the weights are not finite after epoch 2 .*holds the checkpoint of epoch 1\.$", str(why))
    state = State.of(CheckpointFolder(str(tmp_path / "states")).restore())
    assert [row["epoch"] for row in state.record["rows"]] == [1]


def test_a_damaged_state_is_told_and_the_end_is_the_same(alone, tmp_path):
    whole = alone(epochs=3)
    assert whole.run() is None
    expected = dict(whole.checkpoints.restore())
    last = max((tmp_path / "states").iterdir())
    with (last / "weights.safetensors").open("r+b") as file:
        file.seek(500)
        file.write(bytes(300))
    again = alone(epochs=3)
    assert again.run() is None
    assert again.checkpoints.damaged == [f"{last}: damaged (weights.safetensors does not match its checksum)"]
    found = CheckpointFolder(str(tmp_path / "states")).restore()
    assert found["weights.safetensors"] == expected["weights.safetensors"]
    assert again.learner.kept_epoch == whole.learner.kept_epoch


def test_an_image_that_was_left_out_stays_out_of_a_resumed_training(alone, tmp_path):
    def without(loop, row):
        cache = loop.learner.cache
        loop.learner._choose(dataclasses.replace(cache, skipped={**cache.skipped, row: "permission denied"}))
        return loop

    assert without(alone(epochs=3), 4).run() is None
    expected = dict(CheckpointFolder(str(tmp_path / "states")).restore())
    shutil.rmtree(max((tmp_path / "states").iterdir()))
    again = alone(epochs=3)  # now the image is readable
    assert again.run() is None
    assert again.learner.job.pictures.names(np.array([4]))[0] in again.learner.skipped
    found = CheckpointFolder(str(tmp_path / "states")).restore()
    assert found["weights.safetensors"] == expected["weights.safetensors"]


def test_an_image_that_was_learnt_from_and_cannot_be_read_ends_a_resumed_training(alone):
    assert alone(epochs=2).run() is None
    again = alone(epochs=2)
    cache = again.learner.cache
    again.learner._choose(dataclasses.replace(cache, skipped={**cache.skipped, 4: "permission denied"}))
    said = str(again.run())
    assert re.match(
        r"\S+: used by this training before, but unusable now \(permission denied\)\. .*remove \S+\.train\.$", said
    )


def test_the_best_epoch_survives_a_resumption(alone, tmp_path, monkeypatch):
    """The weights of the best epoch are kept, not those of the epoch that was resumed from."""
    worker = alone(epochs=3)
    accuracies = iter([0.9, 0.1, 0.2])

    def look(one):
        validated = one._validate
        return lambda epoch: dataclasses.replace(tally := validated(epoch), correct=next(accuracies) * tally.images)

    monkeypatch.setattr(worker.learner, "_validate", look(worker.learner))
    best = {}
    kept = worker.checkpoints.save

    def stop_after_two(number, row, save):
        kept(number, row, save)
        if number == 1:
            best.update(plain(worker.learner.backbone.export_weights()))
        if number == 2:
            raise UsageError("stopped")

    monkeypatch.setattr(worker.checkpoints, "save", stop_after_two)
    assert str(worker.run()) == "stopped"
    again = alone(epochs=3)
    monkeypatch.setattr(again.learner, "_validate", look(again.learner))
    assert again.run() is None
    assert again.learner.kept_epoch == 1
    kept = State.of(CheckpointFolder(str(tmp_path / "states")).restore()).best
    assert all(torch.equal(best[name], tensor) for name, tensor in kept.items())


def test_kept_is_the_mean_with_the_start_and_the_updates_are_those_without(alone, tmp_path):
    start = plain(alone(epochs=1).learner.backbone.export_weights())
    assert alone(epochs=1).run() is None
    trained = CheckpointFolder(str(tmp_path / "states")).restore()["weights.safetensors"]
    shutil.rmtree(tmp_path / "states")
    worker = alone(epochs=1, start_share=0.25)
    assert worker.run() is None
    files = CheckpointFolder(str(tmp_path / "states")).restore()
    assert files["weights.safetensors"] == trained
    kept, now = State.of(files).best, safetensors.torch.load(trained)
    floating = [name for name in now if now[name].is_floating_point()]
    assert all(torch.equal(kept[name], torch.lerp(start[name], now[name], 0.75)) for name in floating)
    again = alone(epochs=1, start_share=0.25)
    assert again.run() is None  # resumed, with nothing left to do
    assert all(torch.equal(again.learner.kept[name], kept[name]) for name in floating)


def test_a_small_training_set_is_repeated_within_an_epoch(alone):
    """Three batches of 22 images make one pass; 7 updates need three passes, each in an order of its own."""
    worker = alone(epochs=2, epoch_updates=7)
    assert (worker.learner.passes, worker.learner.updates) == (3, 9)
    assert worker.run() is None
    images = len(worker.learner.train)
    assert [row["epoch"] for row in worker.rows] == [1, 2]
    orders = [np.concatenate(worker.learner._order(number).batches).tolist() for number in range(6)]
    assert all(sorted(order) == list(range(images)) for order in orders)
    assert len(set(map(tuple, orders))) == 6
    assert 0 <= worker.rows[0]["train_accuracy"] <= 1
