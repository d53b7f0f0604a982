"""Training of one worker without Ray; test_energynet.py and test_energynet_group.py use Ray Train."""

import re
import resource
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attn.commands.train_energynet_plan import make_energy_training
from attn.errors import UsageError
from attn.maps.energy import window_energy
from attn.stages.scoring import UnAtt
from attn.training.checkpoints import CheckpointFolder
from attn.training.diverged import DivergedError
from attn.training.energy_config import EnergyConfig
from attn.training.energy_validation import score_bank
from attn.training.energynet_learner import EnergyLearner
from attn.training.energynet_maps import _read
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.state import State, plain
from attn.training.status import StatusWriter

QUICK = {"candidates_initial": 32, "candidates_final": 64, "num_hard": 16, "holdout_fraction": 0.25}


@pytest.fixture
def states(tmp_path):
    """URL of the checkpoints of the loop."""
    return str(tmp_path / "states")


@pytest.fixture
def make_loop(planted, states, tmp_path):
    """Factory of training loops of one worker without Ray: `make_loop(lr=…)`."""

    def make(**settings):
        options = TrainEnergyNetOptions(
            store=str(planted / "store"),
            split=str(planted / "train.txt"),
            out=str(tmp_path / "energynet"),
            **{**QUICK, **settings},
        )
        run, job, _ = make_energy_training(options)
        run.begin({})
        group = Group.alone(torch.device("cpu"))
        maps, refusal = _read(job, group)
        assert refusal is None
        assert maps is not None
        learner = EnergyLearner(job, *maps, group, lambda text: None)
        return TrainingLoop(
            learner, StatusWriter(None, rank=1), CheckpointFolder(states, every_s=0), run_url=job.run_url
        )

    return make


def test_it_stops_when_it_has_been_worse_for_long_and_keeps_what_was_better(make_loop, states):
    """The steps are so large that each update destroys all progress."""
    loop = make_loop(updates=4000, look_every=1, patience=2, lr=10.0, weight_decay=0.0, residual=False, centre=False)
    assert loop.run() is None
    rows, kept = loop.rows, loop.learner.progress(loop.rows).kept_row
    assert len(rows) < 4000
    assert kept["update"] == rows[-3]["update"] > 0
    assert kept["validation_accuracy"] > rows[-1]["validation_accuracy"]
    assert any((loop.learner.kept[name] != weight).any() for name, weight in loop.learner.net.state_dict().items())
    state = State.of(CheckpointFolder(states).restore())
    assert state.record["rows"][state.record["kept"] - 1] == kept
    torch.testing.assert_close(state.best, loop.learner.kept, rtol=0, atol=0)


def test_a_loss_that_is_not_finite_ends_it_with_its_update(make_loop, states):
    why = make_loop(updates=120, look_every=40, lr=1e30, weight_decay=0.0).run()
    assert isinstance(why, DivergedError)
    assert re.match(
        r"the loss is not finite at update \d+: the learning rate is probably too high\. Lower --lr", str(why)
    )
    assert CheckpointFolder(states).restore() is None


def test_weights_that_are_not_finite_are_never_kept(make_loop, states, monkeypatch):
    """The loss of the last update is finite, but not the weights after it."""
    loop = make_loop(updates=120, look_every=40)
    update = loop.learner.trainer.update

    def breaking(number):
        step = update(number)
        if number == 79:
            with torch.no_grad():
                loop.learner.net.map_layer.weight[0, 0] = torch.inf
        return step

    monkeypatch.setattr(loop.learner.trainer, "update", breaking)
    why = loop.run()
    assert isinstance(why, DivergedError)
    assert re.match(
        r"the weights are not finite after update 80 \(map_layer.weight\): .*holds the checkpoint of update 40\.$",
        str(why),
    )
    state = State.of(CheckpointFolder(states).restore())
    assert [row["update"] for row in state.record["rows"]] == [0, 40]
    assert all(torch.isfinite(weight).all() for weight in state.best.values())


def test_a_damaged_state_is_told_and_the_end_is_the_same(make_loop, states, monkeypatch):
    """A training stops after 80 of 120 updates, and its last checkpoint is damaged."""
    whole = make_loop(updates=120, look_every=40)
    assert whole.run() is None
    shutil.rmtree(states)
    broken = make_loop(updates=120, look_every=40)
    monkeypatch.setattr(broken.learner, "is_over", lambda rows: len(rows) == 3)
    assert broken.run() is None
    last = max(Path(states).iterdir())
    with (last / "optimizer.pt").open("r+b") as file:
        file.truncate(100)
    again, told = make_loop(updates=120, look_every=40), {}
    monkeypatch.setattr(again._progress, "update", lambda **changes: told.update({"damaged": (), **told} | changes))
    assert again.run() is None
    assert told["damaged"] == (f"{last}: damaged (optimizer.pt does not match its checksum)",)
    assert told["resumed"] == 2
    for name, weight in whole.learner.net.state_dict().items():
        torch.testing.assert_close(again.learner.net.state_dict()[name], weight, rtol=0, atol=0)


def test_no_room_for_a_state_is_said_and_the_one_before_is_gone_on_from(make_loop, states, monkeypatch):
    whole = make_loop(updates=120, look_every=40)
    assert whole.run() is None
    shutil.rmtree(states)
    stuck = make_loop(updates=120, look_every=40)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    next_row = stuck.learner.next_row

    def full(rows):
        row = next_row(rows)
        if len(rows) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        return row

    monkeypatch.setattr(stuck.learner, "next_row", full)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        why = stuck.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert type(why) is UsageError
    assert states in str(why)
    assert "File too large" in str(why)
    again = make_loop(updates=120, look_every=40)
    assert again.run() is None
    assert not again.checkpoints.damaged
    for name, weight in whole.learner.net.state_dict().items():
        torch.testing.assert_close(again.learner.net.state_dict()[name], weight, rtol=0, atol=0)


def test_before_the_first_update_it_is_unatt_and_that_is_the_first_row(make_loop):
    loop = make_loop(updates=120, look_every=40)
    bank, labels = loop.learner.validation, torch.from_numpy(loop.learner.validation.table.labels)
    unatt = UnAtt(window=3)
    expected = [
        unatt(SimpleNamespace(maps=bank.values[first : first + count].numpy()))
        for first, count in zip(bank.table.first_row, bank.table.num_frames, strict=True)
    ]
    scores = score_bank(loop.learner.net, bank, torch.device("cpu")) * loop.learner.residual_scale
    np.testing.assert_allclose(scores.numpy(), np.stack(expected), rtol=1e-5)
    assert loop.run() is None
    rows = loop.rows
    assert [row["update"] for row in rows] == [0, 40, 80, 120]
    accuracy = (torch.tensor(np.stack(expected)).argmax(1) == labels).double().mean().item()
    assert rows[0]["validation_accuracy"] == pytest.approx(accuracy)
    assert rows[0]["updates_per_s"] is None
    assert 0 < rows[0]["embedding_spread"] < 1


def test_a_start_that_no_update_beats_is_kept(make_loop, states):
    """The steps are so large that the accuracy only equals that of the initial weights."""
    loop = make_loop(updates=10, look_every=10, lr=1.0, momentum=0.0, weight_decay=0.0)
    start = plain(loop.learner.net.state_dict())
    loop.learner.trainer.centre()
    start |= plain(loop.learner.net.state_dict())
    assert loop.run() is None
    rows = loop.rows
    assert rows[0]["validation_accuracy"] == rows[1]["validation_accuracy"] > 0
    assert rows[0]["validation_shortfall"] < rows[1]["validation_shortfall"]
    assert loop.learner.progress(rows).kept_row["update"] == 0
    weights = State.of(CheckpointFolder(states).restore()).best
    for name, weight in start.items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=0)
    assert all(row["kept_accuracy"] == rows[0]["validation_accuracy"] for row in rows)


@pytest.mark.parametrize("change", [{"fraction": 0.1}, {"recipe": "paper", **EnergyConfig.RECIPES["paper"]}])
def test_without_held_out_videos_and_in_the_papers_recipe_there_is_no_row_before_the_first_update(make_loop, change):
    loop = make_loop(**{**change, "updates": 20, "look_every": 10})
    assert loop.run() is None
    assert [row["update"] for row in loop.rows] == [10, 20]
    assert 0 < loop.rows[0]["embedding_spread"] < 1


def test_the_papers_start_is_neither_centred_nor_residual(make_loop):
    loop = make_loop(recipe="paper", **EnergyConfig.RECIPES["paper"])
    bias = loop.learner.net.embedding_layer.bias.clone()
    loop.learner.prepare()
    assert torch.equal(loop.learner.net.embedding_layer.bias, bias)
    assert "residual_scale" not in loop.learner.net.state_dict()
    steady = make_loop()
    steady.learner.prepare()
    assert not torch.equal(steady.learner.net.embedding_layer.bias, bias)


def test_the_residual_scale_is_the_root_mean_square_of_what_ranks_classes(make_loop):
    loop = make_loop()
    energies = window_energy(loop.learner.trainer._maps.bank.values.double())
    expected = (energies - energies.mean(1, keepdim=True)).square().mean().sqrt().item()
    assert loop.learner.net.residual_scale.item() == pytest.approx(expected, rel=1e-5)
