"""Reports of a resumed trial, and its handling of damaged checkpoints."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import tune

from attn.engine.tune.searcher import AGAIN, DAMAGED
from attn.engine.tune.trial import _drop_damaged, _Teller
from attn.training.checkpoints import CheckpointFolder
from attn.training.run import TrainRun

ROWS = [{"update": update, "seconds": 1.0} for update in (100, 200, 300)]


@pytest.fixture
def told(monkeypatch):
    """Rows reported to Ray Tune."""
    rows = []
    monkeypatch.setattr(tune, "report", rows.append)
    return rows


@pytest.fixture
def run(tmp_path):
    return TrainRun(str(tmp_path / "energynet.safetensors"), {})


def test_looks_of_before_are_told_as_such_and_drawn_once(run, told):
    run.write_metrics(ROWS[:2])
    drawn = []
    teller = _Teller(run, SimpleNamespace(add=lambda row, step: drawn.append(step)))
    teller.update(rows=ROWS[:2], damaged=("state 3 is damaged",))
    teller.update(rows=ROWS)
    assert [row.get(AGAIN, False) for row in told] == [True, True, False]
    assert [DAMAGED in row for row in told] == [True, False, False]
    assert drawn == [300]
    assert run.metrics() == ROWS


def test_without_a_good_state_it_is_trained_anew(run, told):
    checkpoints = CheckpointFolder(run.states, every_s=0)
    checkpoints.write(100, lambda: [("weights", b"good")])
    _drop_damaged(run)
    assert (told, checkpoints.restore()) == ([], {"weights": b"good"})
    state = next(path for path in _folder(run).rglob("weights"))
    state.write_bytes(b"bad")
    _drop_damaged(run)
    assert not list(_folder(run).rglob("*"))
    assert told[0][DAMAGED].endswith(": damaged (weights does not match its checksum); the trial restarts from scratch")


def _folder(run):
    return Path(run.url) / run.name
