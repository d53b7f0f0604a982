"""Check 11 of the faithfulness checks: real groups of processes learn what one process learns."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from attn.training.bank import Bank
from attn.training.energy_training import EnergyTrainer, TrainingMaps
from attn.training.energy_validation import directions, spread
from attn.training.peers import Alone, Peers
from tests.training.conftest import CONFIG, CPU, LABELS, NUM_FRAMES, bank_of, net_of, sampler_of

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclasses.dataclass(frozen=True)
class Gloo:
    """The members of a real process group."""

    rank: int
    size: int

    def sum(self, values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values


@dataclasses.dataclass(frozen=True)
class Case:
    """A training.

    Attributes:
        changes: of the configuration.
        updates: how many.
        shared: each process holds its share of the videos alone.
        dtype: of the network.
        videos: labels and numbers of frames.
    """

    changes: dict[str, Any]
    updates: int = 15
    shared: bool = False
    dtype: torch.dtype = torch.float32
    videos: tuple[tuple[int, ...], tuple[int, ...]] = (LABELS, NUM_FRAMES)


SLOWLY = {"lr": 1e-3}  # in fp32 large steps double the rounding of sums from update to update
SWITCHING = {"residual": False, "candidates_initial": 32, "switch_threshold": 0.972, "num_hard": 13}
CASES = {
    "full copies, R = 0": Case({"num_random": 0} | SLOWLY, 50),
    "shared, R = 0": Case({"num_random": 0} | SLOWLY, 50, shared=True),
    "full copies, R = 8": Case(SLOWLY),
    "shared, R = 8": Case(SLOWLY, shared=True),
    "full copies, R = 0, fp64": Case({"num_random": 0}, dtype=torch.float64),
    "shared, R = 8, fp64": Case({}, shared=True, dtype=torch.float64),
    "switching, fp64": Case(SWITCHING, 25, dtype=torch.float64),
    "all candidates kept, fp64": Case({"num_hard": 128}, dtype=torch.float64),
    "fewer samples than processes, fp64": Case(
        {"num_hard": 1, "num_random": 0, "candidates_initial": 2}, dtype=torch.float64
    ),
    "one random sample, fp64": Case({"num_hard": 1, "num_random": 1}, dtype=torch.float64),
    "two videos, shared, fp64": Case({}, shared=True, dtype=torch.float64, videos=((0, 1), (4, 5))),
}


def train(case: Case, peers: Peers) -> dict[str, Any]:
    """Weights, steps and all else that must not depend on the number of processes."""
    config, bank = dataclasses.replace(CONFIG, **case.changes), bank_of(*case.videos)
    maps = TrainingMaps(bank, CPU)
    if case.shared and peers.size > 1:
        maps = share_of(bank, peers)
    trainer = EnergyTrainer(net_of(config, case.dtype), maps, sampler_of(bank.table, config), config, peers)
    trainer.centre()
    measured = tuple(trainer.measure())
    steps = [tuple(trainer.update(number)) for number in range(case.updates)]
    total, count = maps.sum_of_squares(peers)
    windows = maps.window_squares(peers, 2)
    sums = peers.sum(torch.tensor([total, count, *windows], dtype=torch.float64)).tolist()
    apart = spread(peers.sum(directions(trainer.net, *trainer.anchors())))
    weights = torch.cat([value.detach().double().flatten() for value in trainer.net.parameters()])
    steps = [measured, *steps]
    return {"weights": weights, "steps": steps, "schedule": trainer.schedule.state(), "sums": [*sums, apart]}


def share_of(bank: Bank, peers: Peers) -> TrainingMaps:
    """Of all maps, as that member of a group holds them."""
    table, first_row = bank.table.share(peers.rank, peers.size)
    mine = Bank(bank.values[first_row : first_row + table.rows], table)
    return TrainingMaps(mine, CPU, first_row, peers)


def process(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/address", rank=rank, world_size=size)
    torch.save({name: train(case, Gloo(rank, size)) for name, case in CASES.items()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process of a real group found, in all cases."""
    folder = tmp_path_factory.mktemp(f"group{request.param}")
    mp.spawn(process, (request.param, folder), nprocs=request.param)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("name", CASES)
def test_check_11_updates_of_several_processes_equal_those_of_one(name, group):
    alone = train(CASES[name], Alone())
    first = net_of(dataclasses.replace(CONFIG, **CASES[name].changes))
    moved = alone["weights"] - torch.cat([value.detach().double().flatten() for value in first.parameters()])
    assert moved.abs().max() > 0.01
    tolerance = 1e-6 if CASES[name].dtype == torch.float32 else 1e-12
    for found in (member[name] for member in group):
        assert (found["weights"] - alone["weights"]).abs().max() < tolerance
        assert torch.equal(found["weights"], group[0][name]["weights"])  # among themselves not a bit differs
        assert np.abs(np.array(found["steps"]) - np.array(alone["steps"])).max() < tolerance * 10
        assert found["schedule"]["switched_at"] == alone["schedule"]["switched_at"]
        assert found["schedule"]["monitor"] == pytest.approx(alone["schedule"]["monitor"], abs=tolerance * 10)
        assert found["sums"] == pytest.approx(alone["sums"], rel=1e-5)


def test_a_training_that_switches_is_among_them(group):
    at = group[0]["switching, fp64"]["schedule"]["switched_at"]
    assert 1 < at < 25
