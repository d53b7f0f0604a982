"""Check 14 of the faithfulness checks: a planted pattern."""

import numpy as np
import pytest
import torch
from torch import Tensor

from attn.maps.energy import window_energy
from attn.models.energynet import EnergyNet
from attn.training.bank import Bank
from attn.training.energy_config import EnergyConfig
from attn.training.energy_training import EnergyTrainer, TrainingMaps
from attn.training.energy_validation import look, score_bank
from attn.training.peers import Alone
from attn.training.video_table import VideoTable
from tests.training.conftest import CPU, sampler_of

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, SIDE, BLOB = 4, 7, torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
PLACES = ((0, 0), (0, 4), (4, 0), (4, 4))


def planted(videos_per_class: int, seed: int) -> Bank:
    """The map of the true class has its blob in the class's own corner, any other map in the corner of another class.

    Every map holds one blob whole, of a random strength: neither its total nor its largest window tells anything.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), videos_per_class)
    num_frames = rng.integers(2, 6, len(labels))
    table = VideoTable(tuple(f"v{seed}_{i:03}" for i in range(len(labels))), labels, num_frames)
    maps = torch.zeros(table.rows, CLASSES, SIDE, SIDE)
    for row, label in enumerate(np.repeat(labels, num_frames)):
        for cls in range(CLASSES):
            other = (cls + rng.integers(1, CLASSES)) % CLASSES
            top, left = PLACES[cls if cls == label else other]
            maps[row, cls, top : top + 3, left : left + 3] = BLOB * float(rng.uniform(0.5, 1.5))
    return Bank(maps.half(), table)


def accuracy(scores: Tensor, bank: Bank) -> float:
    seen = look(scores, torch.from_numpy(bank.table.labels), margin=1.0)
    return seen.correct / seen.videos


def window_scores(bank: Bank, window: int) -> Tensor:
    energies = window_energy(bank.values, window=window)
    return torch.stack([part.mean(0) for part in energies.split(bank.table.num_frames.tolist())])


def test_check_14_energynet_finds_a_planted_pattern_that_window_energy_cannot_see():
    train_bank, test_bank = planted(8, seed=0), planted(50, seed=1)
    config = EnergyConfig(mirror=False, lr=0.02, candidates_initial=64, candidates_final=128, num_hard=32)
    total, count = TrainingMaps(train_bank, CPU).sum_of_squares(Alone())
    torch.manual_seed(0)
    net = EnergyNet(torch.eye(CLASSES), (SIDE, SIDE), map_scale=(total / count) ** 0.5)
    sampler = sampler_of(train_bank.table, config, CLASSES)
    trainer = EnergyTrainer(net, TrainingMaps(train_bank, CPU), sampler, config, Alone())
    untrained = accuracy(score_bank(net, test_bank, CPU), test_bank)
    for number in range(300):
        trainer.update(number)
    learnt = accuracy(score_bank(net, test_bank, CPU), test_bank)
    blind = [accuracy(window_scores(test_bank, window), test_bank) for window in (3, SIDE)]
    assert max(blind) < 0.4  # chance is 0.25
    assert untrained < 0.6
    assert learnt > 0.95
