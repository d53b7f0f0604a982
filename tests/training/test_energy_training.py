"""Checks 11 and 12 of the faithfulness checks: one update against slow loops."""

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attn.mining.sampler import UPDATES_AT_ONCE, Quadruples
from attn.models.energynet import EnergyNet
from attn.training.bank import Bank, select_maps
from attn.training.energy_config import EnergyConfig
from attn.training.energy_training import ROWS_AT_ONCE, EnergyTrainer, Step, TrainingMaps, samples_per_update
from attn.training.energy_validation import directions, spread
from attn.training.peers import Alone
from attn.training.video_table import VideoTable
from tests.training.conftest import CELLS, CONFIG, CPU, SHAPE, bank_of, net_of, sampler_of

pytestmark = pytest.mark.usefixtures("one_thread")


def trainer_of(config: EnergyConfig, *, bank: Bank | None = None, maps: TrainingMaps | None = None) -> EnergyTrainer:
    bank = bank or bank_of()
    maps = maps or TrainingMaps(bank, CPU)
    return EnergyTrainer(net_of(config), maps, sampler_of(bank.table, config), config, Alone())


def mirrored(one_map: Tensor) -> Tensor:
    return torch.stack(
        [one_map[row * SHAPE[1] + SHAPE[1] - 1 - col] for row in range(SHAPE[0]) for col in range(SHAPE[1])]
    )


def slow_losses(
    net: EnergyNet, bank: Bank, drawn: Quadruples, place: int, config: EnergyConfig
) -> tuple[Tensor, Tensor]:
    """Ranking and triplet loss of one quadruple of an update."""
    one = drawn[place]
    maps = list(bank.values[one.rows, one.classes].flatten(1).double())
    maps = [mirrored(one_map) for one_map in maps] if config.mirror and place % 2 else maps
    branches = [net(one_map, cls) for one_map, cls in zip(maps, one.classes, strict=True)]
    ranking = (branches[0].energy - branches[1].energy + config.energy_margin).clamp(min=0)
    if not one.has_positive:
        return ranking, torch.zeros_like(ranking)
    f, positive, negative = (branch.embedding / branch.embedding.norm() for branch in branches[1:])
    return ranking, ((1 - f @ positive) - (1 - f @ negative) + config.triplet_margin).clamp(min=0)


def slow_joint(losses: tuple[Tensor, Tensor], weight: float, config: EnergyConfig) -> Tensor:
    """What is mined and learnt from before the candidates become more."""
    ranking, triplet = losses
    counts = not config.semi_hard or triplet.item() <= config.triplet_margin
    return ranking + weight * triplet if counts else ranking


class SlowTrainer:
    """One sample after the other, in fp64, with SGD written out."""

    def __init__(self, config: EnergyConfig, bank: Bank):
        self.config, self.bank, self.net = config, bank, net_of(config).double()
        self.sampler = sampler_of(bank.table, config)
        self.speed = [torch.zeros_like(weights) for weights in self.net.parameters()]

    def update(self, number: int, candidates: int) -> Step:
        config = self.config
        drawn = self.sampler.block(number // UPDATES_AT_ONCE)[number % UPDATES_AT_ONCE]
        with torch.no_grad():
            losses = [slow_losses(self.net, self.bank, drawn, i, config) for i in range(config.num_random + candidates)]
        weight = config.triplet_weight if config.rank_by == "joint" else 0.0
        hardness = [float(slow_joint(both, weight, config)) for both in losses]
        order = sorted(range(config.num_random, config.num_random + candidates), key=lambda i: (-hardness[i], i))
        chosen = [*range(config.num_random), *order[: config.num_hard]]
        watched = losses[: config.num_random] or losses
        self.net.zero_grad()
        loss, active = torch.zeros((), dtype=torch.float64), [0, 0]
        for i in chosen:
            both = slow_losses(self.net, self.bank, drawn, i, config)
            active = [count + (one.item() > 0) for count, one in zip(active, both, strict=True)]
            loss = loss + slow_joint(both, config.triplet_weight, config) / len(chosen)
        loss.backward()
        with torch.no_grad():
            for weights, speed in zip(self.net.parameters(), self.speed, strict=True):
                assert weights.grad is not None
                speed.mul_(config.momentum).add_(weights.grad + config.weight_decay * weights)
                weights.sub_(config.lr * speed)
        return Step(
            loss.item(),
            *(sum(part.tolist()) / len(watched) for part in torch.stack([torch.stack(both) for both in watched]).T),
            *(count / len(chosen) for count in active),
        )


def distance(one: EnergyNet, other: EnergyNet) -> float:
    """The largest difference of any weight."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a.detach().double() - b.detach().double()).abs().max().item() for a, b in pairs)


VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no random samples": {"num_random": 0},
    "no triplets": {"triplet_weight": 0.0},
    "ranked by the ranking loss": {"rank_by": "ranking", "triplet_weight": 2.0},
    "all candidates kept": {"num_hard": 24},
    "one kept": {"num_hard": 1, "num_random": 1, "residual": False},
    "other margins": {"energy_margin": 3.0, "triplet_margin": 1.5, "triplet_weight": 2.0},
    "other steps": {"momentum": 0.0, "weight_decay": 0.1},
    "not residual": {"residual": False},
    "not mirrored": {"mirror": False},
    "hard from the start": {"semi_hard": False},
    "the paper's": {"recipe": "paper", **EnergyConfig.RECIPES["paper"], "lr": 0.05},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_check_11_updates_equal_slow_loops(variant):
    config = dataclasses.replace(CONFIG, **{"candidates_initial": 24, "num_hard": 5} | VARIANTS[variant])
    fast, slow = trainer_of(config), SlowTrainer(config, bank_of())
    first = net_of(config)
    for number in (0, 1, UPDATES_AT_ONCE, 5):
        expected = slow.update(number, config.candidates_initial)
        assert (step := fast.update(number)) == pytest.approx(expected, abs=1e-5)
        assert number > 0 or fast.schedule.monitor == step.random_ranking
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
            losses = {i: slow_losses(before, bank, drawn, i, config) for i in candidates}
        hard = sorted(candidates, key=lambda i: (-float(slow_joint(losses[i], 0.5, config)), i))[:16]
        maps, classes = watched.learnt[number]
        assert classes.shape == (4, num_random + 16)
        for j, i in enumerate([*range(num_random), *hard]):
            # The whole quadruple: an anchor keeps the positive that was drawn with it, hard or not.
            assert torch.equal(classes[:, j], drawn.classes[:, i])
            expected = bank.values[drawn.rows[:, i], drawn.classes[:, i]].float()
            assert torch.equal(maps[:, j], (expected if i % 2 == 0 else expected.flip(2)).flatten(1))


def test_check_11_the_candidates_become_more_once_after_the_threshold():
    config = dataclasses.replace(
        CONFIG, candidates_initial=20, candidates_final=90, switch_threshold=0.85, energy_margin=2.0, residual=False
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


def test_triplets_whose_negative_is_nearer_count_only_after_the_switch():
    """Before it, a training learns as if these triplets' loss were zero; what is reported is all of it."""
    config = dataclasses.replace(CONFIG, num_random=128, num_hard=1)
    trainer, plain = trainer_of(config), trainer_of(dataclasses.replace(config, semi_hard=False))
    step, other = trainer.measure(), plain.measure()
    assert step[1:] == other[1:]
    assert step.loss < other.loss
    trainer.schedule.switched_at = 7
    assert trainer.measure() == other


def test_measuring_is_the_mean_over_all_samples_and_changes_nothing():
    trainer, before = trainer_of(CONFIG), net_of(CONFIG)
    drawn = sampler_of(bank_of().table, CONFIG).block(0)[0]
    losses = [slow_losses(copy.deepcopy(before).double(), bank_of(), drawn, i, CONFIG) for i in range(136)]
    joint = [slow_joint(both, CONFIG.triplet_weight, CONFIG).item() for both in losses]
    expected = [sum(joint), sum(both[0].item() for both in losses), sum(both[1].item() for both in losses)]
    expected += [sum(both[0].item() > 0 for both in losses), sum(both[1].item() > 0 for both in losses)]
    assert trainer.measure() == pytest.approx(tuple(total / 136 for total in expected), abs=1e-5)
    assert distance(trainer.net, before) == 0


def test_a_centred_start_gives_random_true_maps_a_mean_embedding_of_zero_and_a_spread():
    config = dataclasses.replace(CONFIG, normalise_embedding=False)
    trainer, bank = trainer_of(config), bank_of()
    block = sampler_of(bank.table, config).block(0)
    maps, classes = select_maps(bank, block.rows[1], block.classes[1]).flatten(0, 1), block.classes[1].flatten()

    def embeddings() -> Tensor:
        return trainer.net(maps, classes).embedding.detach()

    energies = trainer.net(maps, classes).energy
    before = spread(directions(trainer.net, maps, classes))
    assert embeddings().mean(0).abs().max() > 0.05
    trainer.centre()
    assert embeddings().mean(0).abs().max() < 1e-6
    assert spread(directions(trainer.net, maps, classes)) > 0.7 > 0.3 > before
    assert torch.equal(trainer.net(maps, classes).energy, energies)  # W_f is zero


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


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE + 3])
def test_squares_of_window_energies_equal_slow_loops(rows):
    maps = torch.rand(rows, 2, *SHAPE, generator=torch.Generator().manual_seed(0)).mul(30).half()
    bank = Bank(maps, VideoTable(("v",), np.zeros(1, np.int64), np.array([rows])))
    parts = [TrainingMaps(bank, CPU).window_squares(Alone(rank, 3), 2) for rank in range(3)]
    total, count = (sum(values) for values in zip(*parts, strict=True))
    expected = 0.0
    for frame in maps.double():
        windows = [[one[i : i + 2, j : j + 2].sum().item() for i in range(2) for j in range(3)] for one in frame]
        energies = [max(sums) for sums in windows]
        mean = sum(energies) / 2
        expected += sum((energy - mean) ** 2 for energy in energies)
    assert count == rows * 2
    assert total == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 3])
def test_sum_of_squares_equals_slow_loops(rows):
    maps = torch.rand(rows, 2, 3, generator=torch.Generator().manual_seed(0)).mul(300).half()
    bank = Bank(maps, VideoTable(("v",), np.zeros(1, np.int64), np.array([rows])))
    parts = [TrainingMaps(bank, CPU).sum_of_squares(Alone(rank, 3)) for rank in range(3)]
    total, count = (sum(values) for values in zip(*parts, strict=True))
    assert count == rows * 6
    assert total == pytest.approx(sum(x * x for x in maps.double().flatten().tolist()), rel=1e-7)
