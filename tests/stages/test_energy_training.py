"""Checks 11, 12 and 14 of the faithfulness checks: one update against slow loops, and real groups of processes."""

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from attn.maps.energy import window_energy
from attn.mining.sampler import UPDATES_AT_ONCE, Quadruples, QuadrupleSampler
from attn.models.energynet import EnergyNet
from attn.stages.energy_config import EnergyConfig
from attn.stages.energy_training import (
    ROWS_AT_ONCE,
    Alone,
    EnergyTrainer,
    Peers,
    Step,
    TrainingMaps,
    samples_per_update,
)
from attn.stages.energy_validation import look, score_bank
from attn.stages.map_bank import MapBank
from attn.stages.video_table import VideoTable

CPU = torch.device("cpu")
CELLS, CLASSES = 12, 6
# Class 1 has one video alone, class 4 none; a short table has two videos, and so no positives at all.
LABELS, NUM_FRAMES = (0, 0, 0, 1, 2, 2, 3, 3, 3, 5, 5), (5, 1, 2, 4, 3, 3, 1, 1, 6, 2, 9)
CONFIG = EnergyConfig(
    candidates_initial=128,
    candidates_final=128,
    num_hard=16,
    num_random=8,
    lr=0.05,
    triplet_weight=0.5,
    switch_threshold=1e-6,
    hidden_dim=16,
    embedding_dim=8,
    seed=3,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here; two threads wait for each other, on a busy machine fifty times as long as they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bank_of(labels: tuple[int, ...] = LABELS, num_frames: tuple[int, ...] = NUM_FRAMES) -> MapBank:
    """Random maps, that of the true class somewhat stronger in places of its own."""
    videos = tuple(f"v{i:02}" for i in range(len(labels)))
    table = VideoTable(videos, np.array(labels, np.int64), np.array(num_frames, np.int64))
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(table.rows, CLASSES, CELLS, generator=generator)
    for row, label in enumerate(np.repeat(labels, num_frames)):
        maps[row, label, label::CLASSES] += 0.5
    return MapBank(maps.half(), table)


def share_of(bank: MapBank, worker: int, workers: int) -> tuple[MapBank, int]:
    table, first_row = bank.table.share(worker, workers)
    return MapBank(bank.maps[first_row : first_row + table.rows], table), first_row


def sampler_of(table: VideoTable, config: EnergyConfig) -> QuadrupleSampler:
    return QuadrupleSampler(
        torch.from_numpy(table.labels),
        torch.from_numpy(table.num_frames),
        num_classes=CLASSES,
        samples=samples_per_update(config),
        seed=config.seed,
    )


def net_of(config: EnergyConfig, dtype: torch.dtype = torch.float32) -> EnergyNet:
    generator = torch.Generator().manual_seed(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = EnergyNet(
            torch.randn(CLASSES, 4, generator=generator),
            CELLS,
            hidden_dim=config.hidden_dim,
            embedding_dim=config.embedding_dim,
            map_scale=0.6,
        )
    return net.to(dtype)


def trainer_of(
    config: EnergyConfig, *, bank: MapBank | None = None, maps: TrainingMaps | None = None, peers: Peers | None = None
) -> EnergyTrainer:
    bank = bank or bank_of()
    maps = maps or TrainingMaps(bank, CPU)
    return EnergyTrainer(net_of(config), maps, sampler_of(bank.table, config), config, peers or Alone())


# One update in slow loops.


def slow_losses(net: EnergyNet, bank: MapBank, one: Quadruples, config: EnergyConfig) -> tuple[Tensor, Tensor]:
    """Ranking and triplet loss of one quadruple."""
    maps = [bank.maps[row, cls].double() for row, cls in zip(one.rows.tolist(), one.classes.tolist(), strict=True)]
    branches = [net(one_map, cls) for one_map, cls in zip(maps, one.classes, strict=True)]
    ranking = (branches[0].energy - branches[1].energy + config.energy_margin).clamp(min=0)
    if not one.has_positive:
        return ranking, torch.zeros_like(ranking)
    f, positive, negative = (branch.embedding / branch.embedding.norm() for branch in branches[1:])
    return ranking, ((1 - f @ positive) - (1 - f @ negative) + config.triplet_margin).clamp(min=0)


class SlowTrainer:
    """One sample after the other, in fp64, with SGD written out."""

    def __init__(self, config: EnergyConfig, bank: MapBank):
        self.config, self.bank, self.net = config, bank, net_of(config).double()
        self.sampler = sampler_of(bank.table, config)
        self.speed = [torch.zeros_like(weights) for weights in self.net.parameters()]

    def update(self, number: int, candidates: int) -> Step:
        config = self.config
        drawn = self.sampler.block(number // UPDATES_AT_ONCE)[number % UPDATES_AT_ONCE]
        with torch.no_grad():
            losses = [
                torch.stack(slow_losses(self.net, self.bank, drawn[i], config))
                for i in range(config.num_random + candidates)
            ]
        joint = [float(ranking + config.triplet_weight * triplet) for ranking, triplet in losses]
        order = sorted(range(config.num_random, config.num_random + candidates), key=lambda i: (-joint[i], i))
        chosen = [*range(config.num_random), *order[: config.num_hard]]
        watched = losses[: config.num_random] or losses
        self.net.zero_grad()
        loss = torch.zeros((), dtype=torch.float64)
        for i in chosen:
            ranking, triplet = slow_losses(self.net, self.bank, drawn[i], config)
            loss = loss + (ranking + config.triplet_weight * triplet) / len(chosen)
        loss.backward()
        with torch.no_grad():
            for weights, speed in zip(self.net.parameters(), self.speed, strict=True):
                assert weights.grad is not None
                speed.mul_(config.momentum).add_(weights.grad + config.weight_decay * weights)
                weights.sub_(config.lr * speed)
        return Step(loss.item(), *(sum(part.tolist()) / len(watched) for part in torch.stack(watched).T))


def distance(one: EnergyNet, other: EnergyNet) -> float:
    """The largest difference of any weight."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a.detach().double() - b.detach().double()).abs().max().item() for a, b in pairs)


VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no random samples": {"num_random": 0},
    "no triplets": {"triplet_weight": 0.0},
    "all candidates kept": {"num_hard": 24},
    "one kept": {"num_hard": 1, "num_random": 1},
    "other margins": {"energy_margin": 3.0, "triplet_margin": 1.5, "triplet_weight": 2.0},
    "other steps": {"momentum": 0.0, "weight_decay": 0.1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_check_11_updates_equal_slow_loops(variant):
    config = dataclasses.replace(CONFIG, **{"candidates_initial": 24, "num_hard": 5} | VARIANTS[variant])
    fast, slow = trainer_of(config), SlowTrainer(config, bank_of())
    first = net_of(config)
    for number in (0, 1, UPDATES_AT_ONCE, 5):
        expected = slow.update(number, config.candidates_initial)
        assert fast.update(number) == pytest.approx(expected, abs=1e-5)
    assert distance(fast.net, slow.net) < 1e-5
    assert distance(fast.net, first) > 1e-3


class Watched:
    """What goes through the network: the candidates, without gradient, and what is learnt from."""

    def __init__(self, net: EnergyNet):
        self.mined: list[tuple[Tensor, Tensor]] = []
        self.learnt: list[tuple[Tensor, Tensor]] = []
        net.register_forward_pre_hook(self._see)

    def _see(self, _: torch.nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        (self.learnt if torch.is_grad_enabled() else self.mined).append(inputs)


@pytest.mark.parametrize("num_random", [0, 8])
def test_check_11_learns_from_the_hardest_candidates_and_further_random_samples(num_random):
    config = dataclasses.replace(CONFIG, num_random=num_random)
    trainer, bank = trainer_of(config), bank_of()
    watched = Watched(trainer.net)
    for number in range(5):
        before = copy.deepcopy(trainer.net).double()
        trainer.update(number)
        drawn = sampler_of(bank.table, config).block(0)[number]
        candidates = range(num_random, num_random + 128)
        with torch.no_grad():
            losses = {i: slow_losses(before, bank, drawn[i], config) for i in candidates}
        hard = sorted(candidates, key=lambda i: (-float(losses[i][0] + 0.5 * losses[i][1]), i))[:16]
        maps, classes = watched.learnt[number]
        assert classes.shape == (4, num_random + 16)
        for j, i in enumerate([*range(num_random), *hard]):
            # The whole quadruple: an anchor keeps the positive that was drawn with it, hard or not.
            assert torch.equal(classes[:, j], drawn.classes[:, i])
            assert torch.equal(maps[:, j], bank.maps[drawn.rows[:, i], drawn.classes[:, i]].float())


def test_check_11_the_candidates_become_more_once_after_the_threshold():
    config = dataclasses.replace(
        CONFIG, candidates_initial=20, candidates_final=90, switch_threshold=0.85, energy_margin=2.0
    )
    trainer = trainer_of(config)
    watched = Watched(trainer.net)
    losses = [trainer.update(number).random_ranking for number in range(60)]
    monitor, at = losses[0], None
    for number, loss in enumerate(losses):
        monitor = monitor if number == 0 else 0.98 * monitor + 0.02 * loss
        at = number + 1 if at is None and monitor < 0.85 * 2 else at
    assert at is not None
    assert 5 < at < 55
    assert trainer.schedule.switched_at == at
    assert [len(classes[0]) for _, classes in watched.mined] == [20] * at + [90] * (60 - at)
    assert {len(classes[0]) for _, classes in watched.learnt} == {16 + 8}


@dataclasses.dataclass(frozen=True)
class Asked(TrainingMaps):
    """Maps that remember how many were asked for."""

    counts: list[int] = dataclasses.field(default_factory=list)

    def select(self, rows: Tensor, classes: Tensor) -> Tensor:
        self.counts.append(rows.shape[1])
        return super().select(rows, classes)


def test_no_more_maps_are_read_than_there_are_candidates_and_random_samples():
    config = dataclasses.replace(CONFIG, candidates_initial=20, candidates_final=90)
    trainer = trainer_of(config, maps=(maps := Asked(bank_of(), CPU)))
    trainer.update(0)
    trainer.schedule.switched_at = 1
    trainer.update(1)
    assert maps.counts == [28, 98]


def test_the_random_samples_are_the_same_before_and_after_the_switch():
    config = dataclasses.replace(CONFIG, candidates_initial=20, candidates_final=90)
    few, many = trainer_of(config), trainer_of(config)
    many.schedule.switched_at = 0
    assert few.update(3).random_ranking == pytest.approx(many.update(3).random_ranking, abs=1e-6)


def test_the_monitor_is_of_random_samples_and_without_them_of_the_candidates():
    bank = bank_of()
    for num_random in (0, 8):
        config = dataclasses.replace(CONFIG, num_random=num_random)
        trainer = trainer_of(config)
        before = copy.deepcopy(trainer.net).double()
        step = trainer.update(0)
        drawn = sampler_of(bank.table, config).block(0)[0]
        with torch.no_grad():
            losses = [slow_losses(before, bank, drawn[i], config) for i in range(num_random or 128)]
        ranking, triplet = (sum(values).item() / len(losses) for values in zip(*losses, strict=True))
        assert (step.random_ranking, step.random_triplet) == pytest.approx((ranking, triplet), abs=1e-6)
        assert trainer.schedule.monitor == step.random_ranking


def test_a_class_of_one_video_has_no_triplets_and_still_ranks():
    """Of two videos, none has a positive: the triplet weight can then change nothing."""
    bank = bank_of((0, 1), (4, 5))
    trainers = [trainer_of(dataclasses.replace(CONFIG, triplet_weight=weight), bank=bank) for weight in (0.0, 7.0)]
    for number in range(3):
        first, second = (trainer.update(number) for trainer in trainers)
        assert first == second
        assert first.random_triplet == 0
        assert first.random_ranking > 0
    assert not torch.equal(trainers[0].net.energy_head.weight, net_of(CONFIG).energy_head.weight)
    for one, other in zip(trainers[0].net.parameters(), trainers[1].net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_as_many_kept_as_there_are_candidates():
    config = dataclasses.replace(CONFIG, num_hard=128)
    trainer = trainer_of(config)
    watched = Watched(trainer.net)
    trainer.update(0)
    assert watched.learnt[0][1].shape == (4, 128 + 8)


def test_check_12_the_optimiser_holds_one_network():
    trainer = trainer_of(CONFIG)
    held = [weights for group in trainer.optimizer.param_groups for weights in group["params"]]
    assert [id(weights) for weights in held] == [id(weights) for weights in trainer.net.parameters()]
    assert sum(weights.numel() for weights in held) == (CELLS + 4 + 1) * 16 + (16 + 1) * 8 + 8


def test_a_resumed_training_goes_on_as_an_unbroken_one():
    config = dataclasses.replace(CONFIG, candidates_initial=20, switch_threshold=0.9)
    unbroken, broken = trainer_of(config), trainer_of(config)
    steps = [unbroken.update(number) for number in range(45)]
    for number in range(20):
        broken.update(number)
    resumed = trainer_of(config)
    resumed.net.load_state_dict(broken.net.state_dict())
    resumed.optimizer.load_state_dict(broken.optimizer.state_dict())
    resumed.schedule = dataclasses.replace(broken.schedule)
    assert [resumed.update(number) for number in range(20, 45)] == steps[20:]
    assert resumed.schedule == unbroken.schedule
    assert unbroken.schedule.switched_at is not None


def test_weights_that_broke_are_seen_in_the_loss():
    trainer = trainer_of(CONFIG)
    with torch.no_grad():
        trainer.net.energy_head.weight[0, 0] = float("nan")
    assert not np.isfinite(trainer.update(0).loss)


def test_samples_per_update():
    assert samples_per_update(EnergyConfig(candidates_initial=5, candidates_final=7, num_hard=2, num_random=3)) == 10


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 3])
def test_sum_of_squares_equals_slow_loops(rows):
    maps = torch.rand(rows, 2, 3, generator=torch.Generator().manual_seed(0)).mul(300).half()
    bank = MapBank(maps, VideoTable(("v",), np.zeros(1, np.int64), np.array([rows])))
    parts = [TrainingMaps(bank, CPU).sum_of_squares(Alone(rank, 3)) for rank in range(3)]
    total, count = (sum(values) for values in zip(*parts, strict=True))
    assert count == rows * 6
    assert total == pytest.approx(sum(x * x for x in maps.double().flatten().tolist()), rel=1e-7)


# Groups of processes.


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
SWITCHING = {"candidates_initial": 32, "switch_threshold": 0.95, "num_hard": 13}
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
        maps = TrainingMaps(*_share_args(bank, peers))
    trainer = EnergyTrainer(net_of(config, case.dtype), maps, sampler_of(bank.table, config), config, peers)
    steps = [tuple(trainer.update(number)) for number in range(case.updates)]
    total, count = maps.sum_of_squares(peers)
    sums = peers.sum(torch.tensor([total, count], dtype=torch.float64)).tolist()
    weights = torch.cat([value.detach().double().flatten() for value in trainer.net.parameters()])
    return {"weights": weights, "steps": steps, "schedule": trainer.schedule.state(), "squares": sums}


def _share_args(bank: MapBank, peers: Peers) -> tuple[MapBank, torch.device, int, Peers]:
    mine, first_row = share_of(bank, peers.rank, peers.size)
    return mine, CPU, first_row, peers


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
        assert found["squares"] == pytest.approx(alone["squares"], rel=1e-7)


def test_a_training_that_switches_is_among_them(group):
    at = group[0]["switching, fp64"]["schedule"]["switched_at"]
    assert 1 < at < 25


# A planted pattern.

PLANTED_CLASSES, SIDE, BLOB = 4, 7, torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
PLACES = ((0, 0), (0, 4), (4, 0), (4, 4))


def planted(videos_per_class: int, seed: int) -> MapBank:
    """The map of the true class has its blob in the class's own corner, any other map in the corner of another class.

    Every map holds one blob whole, of a random strength: neither its total nor its largest window tells anything.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(PLANTED_CLASSES), videos_per_class)
    num_frames = rng.integers(2, 6, len(labels))
    table = VideoTable(tuple(f"v{seed}_{i:03}" for i in range(len(labels))), labels, num_frames)
    maps = torch.zeros(table.rows, PLANTED_CLASSES, SIDE, SIDE)
    for row, label in enumerate(np.repeat(labels, num_frames)):
        for cls in range(PLANTED_CLASSES):
            other = (cls + rng.integers(1, PLANTED_CLASSES)) % PLANTED_CLASSES
            top, left = PLACES[cls if cls == label else other]
            maps[row, cls, top : top + 3, left : left + 3] = BLOB * float(rng.uniform(0.5, 1.5))
    return MapBank(maps.flatten(2).half(), table)


def accuracy(scores: Tensor, bank: MapBank) -> float:
    seen = look(scores, torch.from_numpy(bank.table.labels), margin=1.0)
    return seen.correct / seen.videos


def window_scores(bank: MapBank, window: int) -> Tensor:
    energies = window_energy(bank.maps.unflatten(2, (SIDE, SIDE)), window=window)
    return torch.stack([part.mean(0) for part in energies.split(bank.table.num_frames.tolist())])


def test_check_14_energynet_finds_a_planted_pattern_that_window_energy_cannot_see():
    train_bank, test_bank = planted(8, seed=0), planted(50, seed=1)
    config = EnergyConfig(lr=0.02, candidates_initial=64, candidates_final=128, num_hard=32)
    total, count = TrainingMaps(train_bank, CPU).sum_of_squares(Alone())
    torch.manual_seed(0)
    net = EnergyNet(torch.eye(PLANTED_CLASSES), SIDE * SIDE, map_scale=(total / count) ** 0.5)
    sampler = QuadrupleSampler(
        torch.from_numpy(train_bank.table.labels),
        torch.from_numpy(train_bank.table.num_frames),
        num_classes=PLANTED_CLASSES,
        samples=samples_per_update(config),
        seed=0,
    )
    trainer = EnergyTrainer(net, TrainingMaps(train_bank, CPU), sampler, config, Alone())
    untrained = accuracy(score_bank(net, test_bank, CPU), test_bank)
    for number in range(300):
        trainer.update(number)
    learnt = accuracy(score_bank(net, test_bank, CPU), test_bank)
    blind = [accuracy(window_scores(test_bank, window), test_bank) for window in (3, SIDE)]
    assert max(blind) < 0.4  # chance is 0.25
    assert untrained < 0.6
    assert learnt > 0.95
