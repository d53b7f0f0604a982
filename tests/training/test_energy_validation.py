import math

import numpy as np
import pytest
import torch

from attn.maps.energy import video_scores
from attn.models.energynet import EnergyNet
from attn.stages.scoring import frame_energies
from attn.training import energy_validation
from attn.training.bank import Bank
from attn.training.energy_validation import Look, directions, look, score_bank, spread, true_maps
from attn.training.video_table import VideoTable

CPU = torch.device("cpu")


@pytest.fixture
def net() -> EnergyNet:
    torch.manual_seed(0)
    return EnergyNet(torch.randn(3, 4), (2, 3), hidden_dim=16, embedding_dim=5, map_scale=0.5)


def bank_of(*num_frames: int, classes: int = 3) -> Bank:
    table = VideoTable(
        tuple(f"v{i}" for i in range(len(num_frames))),
        np.zeros(len(num_frames), np.int64),
        np.array(num_frames, np.int64),
    )
    maps = torch.rand(table.rows, classes, 2, 3, generator=torch.Generator().manual_seed(1)).half()
    return Bank(maps, table)


@pytest.fixture(params=[1, 2, 5, 256])
def at_once(request, monkeypatch) -> int:
    monkeypatch.setattr(energy_validation, "FRAMES_AT_ONCE", request.param)
    return request.param


def test_scores_of_a_bank_equal_slow_loops(net, at_once):
    bank = bank_of(4, 1, 7, 3)
    scores = score_bank(net, bank, CPU)
    for video, (first, count) in enumerate(zip(bank.table.first_row, bank.table.num_frames, strict=True)):
        for cls in range(3):
            maps = [bank.values[first + i, cls].flatten().float() for i in range(count)]
            energies = [net(one_map, torch.tensor(cls)).energy.item() for one_map in maps]
            assert scores[video, cls].item() == pytest.approx(sum(energies) / len(energies), abs=1e-6)


def test_a_bank_is_scored_as_the_evaluation_scores_its_videos(net, at_once):
    bank = bank_of(4, 1, 7)
    for video, (first, count) in enumerate(zip(bank.table.first_row, bank.table.num_frames, strict=True)):
        maps = bank.values[first : first + count]
        torch.testing.assert_close(score_bank(net, bank, CPU)[video], video_scores(frame_energies(net, maps)))


def test_energies_of_frames_do_not_depend_on_the_chunks(net, at_once):
    maps = torch.rand(23, 3, 2, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(frame_energies(net, maps), net.energies(maps).detach())


def test_no_frames_and_no_videos(net):
    assert frame_energies(net, torch.zeros(0, 3, 2, 3)).shape == (0, 3)
    assert score_bank(net, bank_of(), CPU).shape == (0, 3)


def slow_look(scores: list[list[float]], labels: list[int], margin: float) -> Look:
    correct = shortfall = 0.0
    for row, label in zip(scores, labels, strict=True):
        winner = next(c for c in range(len(row)) if row[c] == max(row))
        correct += winner == label
        false = [max(0.0, row[c] - row[label] + margin) for c in range(len(row)) if c != label]
        shortfall += sum(false) / len(false)
    return Look(correct, shortfall, len(labels))


@pytest.mark.parametrize("margin", [0.1, 1.0])
@pytest.mark.parametrize("videos", [0, 1, 50])
def test_tally_equals_slow_loops(videos, margin):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(videos, 4, generator=generator).mul(2).round() / 2  # ties among them
    labels = torch.randint(4, (videos,), generator=generator)
    assert look(scores, labels, margin=margin) == pytest.approx(
        slow_look(scores.tolist(), labels.tolist(), margin), abs=1e-4
    )


def test_of_equal_scores_the_lower_class_counts():
    scores = torch.zeros(2, 3)
    assert look(scores, torch.tensor([0, 2]), margin=1.0) == Look(1, 2, 2)


def test_a_kept_margin_costs_nothing():
    assert look(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]), margin=1.0) == Look(1, 0, 1)


def test_the_looks_of_several_workers_add_up():
    generator = torch.Generator().manual_seed(3)
    scores, labels = torch.randn(9, 4, generator=generator), torch.randint(4, (9,), generator=generator)
    parts = [look(scores[part], labels[part], margin=1.0) for part in (slice(0, 4), slice(4, 4), slice(4, 9))]
    total = [sum(values) for values in zip(*parts, strict=True)]
    assert total == pytest.approx(look(scores, labels, margin=1.0), abs=1e-5)


def test_a_network_that_broke_is_not_called_good():
    broken = look(torch.full((2, 3), math.nan), torch.tensor([1, 2]), margin=1.0)
    assert broken.correct == 0
    assert math.isnan(broken.shortfall)


def test_true_maps_are_those_of_the_label_of_each_frame():
    bank = bank_of(2, 3)
    labelled = Bank(bank.values, VideoTable(bank.table.video_ids, np.array([0, 2]), bank.table.num_frames))
    maps, classes = true_maps(labelled)
    assert classes.tolist() == [0, 0, 2, 2, 2]
    assert torch.equal(maps, bank.values[torch.arange(5), classes].flatten(1).float())


def test_spread_is_the_mean_cosine_distance_of_all_pairs(net, monkeypatch):
    monkeypatch.setattr(energy_validation, "MAPS_AT_ONCE", 4)
    maps, classes = torch.rand(9, 6, generator=torch.Generator().manual_seed(4)), torch.arange(9) % 3
    f = net(maps, classes).embedding.detach().double()
    pairs = [1 - torch.cosine_similarity(one, other, dim=0).item() for one in f for other in f]
    assert spread(directions(net, maps, classes)) == pytest.approx(sum(pairs) / 81, abs=1e-6)
    parts = directions(net, maps[:2], classes[:2]) + directions(net, maps[2:], classes[2:])
    assert spread(parts) == pytest.approx(sum(pairs) / 81, abs=1e-6)


@pytest.mark.parametrize(
    ("units", "expected"), [([[1, 0], [1, 0]], 0), ([[1, 0], [-1, 0]], 1), ([[1, 0], [0, 1]], 0.5)]
)
def test_spread_of_one_way_of_two_opposite_ones_and_of_a_right_angle(units, expected):
    sums = torch.tensor([*map(sum, zip(*units, strict=True)), len(units)], dtype=torch.float64)
    assert spread(sums) == pytest.approx(expected)
