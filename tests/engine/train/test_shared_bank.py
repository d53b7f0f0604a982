"""Banks for many trainings, up to the point where Ray takes them; the searches of test_search use them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from attn.commands.train_energynet_plan import make_energy_training
from attn.engine.train import shared_bank
from attn.engine.train.shared_bank import _read, share_bank
from attn.errors import UsageError
from attn.schema import FEATURES, GRID, MAPS
from attn.training.bank import read_bank
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_options import TrainEnergyNetOptions


@pytest.fixture
def job(planted: Path, tmp_path: Path) -> EnergyJob:
    options = TrainEnergyNetOptions(
        store=str(planted / "store"), split=str(planted / "train.txt"), out=str(tmp_path / "out"), holdout_fraction=0.25
    )
    return make_energy_training(options)[1]


@pytest.mark.parametrize("column", [MAPS, FEATURES])
def test_any_column_is_read_for_both_tables_and_measured_once(job: EnergyJob, column: str) -> None:
    train, held_out, known = _read(job, column, lambda bank, of: (bank.values.float().sum().item(), of.run_url))
    for found, table in ((train, job.train), (held_out, job.held_out)):
        np.testing.assert_array_equal(found, read_bank(job.open_stores(), table, column).values.numpy(), strict=True)
    assert known == (pytest.approx(train.astype(np.float64).sum(), rel=1e-4), job.run_url)


def test_an_error_of_the_store_is_returned_for_the_driver(job: EnergyJob) -> None:
    train, held_out, error = _read(job, GRID, lambda bank, of: None)
    assert (train, held_out) == (None, None)
    assert isinstance(error, UsageError)
    assert str(error).startswith(
        f"{job.store_urls[0]}: the store lacks grid. Run precompute into another folder with --columns "
    )
    gone = dataclasses.replace(job, store_urls=("/gone",))
    assert str(_read(gone, MAPS, lambda bank, of: None)[2]).startswith("/gone: no attention store here")


@pytest.mark.parametrize(("column", "values"), [(MAPS, 3 * 16), (FEATURES, 4)])
def test_a_bank_larger_than_every_machine_is_refused_before_it_is_read(
    job: EnergyJob, monkeypatch: pytest.MonkeyPatch, column: str, values: int
) -> None:
    needed = 2 * values * (job.train.rows + job.held_out.rows)
    nodes = [{"object_store_memory": needed - 1.0}, {"object_store_memory": 1.0}]
    monkeypatch.setattr(shared_bank, "living_nodes", lambda: nodes)
    line = rf"^{job.store_urls[0]}: the bank of {column} needs 0\.0 GB of Ray's object store, but the largest machine "
    with pytest.raises(UsageError, match=line):
        share_bank(job, column)
    nodes[0]["object_store_memory"] += 1
    shared_bank._check_room(job, column)
