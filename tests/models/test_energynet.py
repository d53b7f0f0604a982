"""Checks 7 and 12 of the faithfulness checks, an oracle in slow loops, gradients and precisions."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from attn.losses.energy_ranking import energy_ranking_loss
from attn.losses.triplet import triplet_loss
from attn.models.energynet import EnergyNet
from attn.window_energy import window_energy

SHAPE, WORDS, CLASSES = (2, 3), 5, 4
CELLS = 6


def network(
    *, shape: tuple[int, int] = SHAPE, words: int = WORDS, classes: int = CLASSES, seed: int = 0, **settings: Any
) -> EnergyNet:
    torch.manual_seed(seed)
    settings = {"hidden_dim": 8, "embedding_dim": 3} | settings
    return EnergyNet(torch.randn(classes, words), shape, **settings)


def random_maps(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dot(row: list[float], column: list[float]) -> float:
    return sum(x * y for x, y in zip(row, column, strict=True))


def slow_embedding(net: EnergyNet, map_vector: list[float], cls: int) -> list[float]:
    joined = [x / float(net.map_scale) for x in map_vector] + net.concept_vectors[cls].tolist()
    weight = torch.cat([net.map_layer.weight, net.concept_layer.weight], dim=1).tolist()
    hidden = [max(0.0, dot(row, joined) + b) for row, b in zip(weight, net.map_layer.bias.tolist(), strict=True)]
    layer = net.embedding_layer
    f = [dot(row, hidden) + b for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)]
    return [x / math.sqrt(dot(f, f)) for x in f] if net.normalise_embedding else f


@pytest.mark.parametrize("normalise", [False, True])
def test_equals_slow_loops(normalise):
    net = network(map_scale=0.3, normalise_embedding=normalise).double()
    maps, classes = random_maps(7, CELLS), torch.arange(7) % CLASSES
    embedding, energy = net(maps, classes)
    for i in range(7):
        expected = slow_embedding(net, maps[i].tolist(), int(classes[i]))
        assert embedding[i].tolist() == pytest.approx(expected, abs=1e-12)
        assert energy[i].item() == pytest.approx(dot(net.energy_head.weight[0].tolist(), expected), abs=1e-12)


@pytest.mark.parametrize("shape", [(), (9,), (4, 9), (0,), (4, 0)])
@pytest.mark.parametrize(("cells", "dim"), [(49, 64), (196, 32)])
def test_check_7_shapes(shape, cells, dim):
    net = network(shape=(cells // 7, 7), embedding_dim=dim, hidden_dim=128)
    embedding, energy = net(torch.rand(*shape, cells), torch.zeros(shape, dtype=torch.int64))
    assert embedding.shape == (*shape, dim)
    assert energy.shape == shape
    assert net.map_layer.in_features == cells


def test_check_7_embeddings_have_negative_entries():
    net = network(shape=(7, 7), embedding_dim=64)
    embedding, _ = net(torch.rand(30, 49), torch.arange(30) % CLASSES)
    negative = (embedding < 0).double().mean().item()
    assert 0.2 < negative < 0.8


def with_bias(net: EnergyNet, bias: float) -> EnergyNet:
    changed = copy.deepcopy(net)
    changed.energy_head = nn.Linear(net.energy_head.in_features, 1).to(net.map_scale.dtype)
    with torch.no_grad():
        changed.energy_head.weight.copy_(net.energy_head.weight)
        changed.energy_head.bias.fill_(bias)
    return changed


@pytest.mark.parametrize("bias", [-7.0, 0.5, 100.0])
def test_check_7_a_bias_of_the_energy_head_changes_neither_loss_nor_prediction(bias):
    net = network(shape=(3, 4)).double()
    other = with_bias(net, bias)
    maps = random_maps(4, 50, 12) * 5
    true = torch.arange(50) % CLASSES
    classes = torch.stack([(true + 1) % CLASSES, true, true, (true + 2) % CLASSES])

    def losses(one: EnergyNet) -> Tensor:
        embedding, energy = one(maps, classes)
        return torch.cat([energy_ranking_loss(energy[0], energy[1]), triplet_loss(*embedding[1:])])

    assert losses(net).unique().numel() > 50
    torch.testing.assert_close(losses(other), losses(net), rtol=0, atol=1e-12)
    losses(other).sum().backward()
    (gradient,) = [weights.grad for name, weights in other.named_parameters() if name == "energy_head.bias"]
    assert gradient is not None
    assert gradient.abs() < 1e-12  # so it would never be learnt
    frames = random_maps(30, CLASSES, 3, 4) * 5
    scores = net.energies(frames)
    assert scores.argmax(1).unique().numel() > 1
    assert torch.equal(other.energies(frames).argmax(1), scores.argmax(1))
    assert network().energy_head.bias is None


def test_check_12_four_branches_are_one_set_of_parameters():
    cells, words, hidden, dim = 49, 300, 128, 64
    net = network(shape=(cells // 7, 7), words=words, classes=101, hidden_dim=hidden, embedding_dim=dim)
    first, second, head = (cells + words) * hidden + hidden, hidden * dim + dim, dim
    assert sum(weights.numel() for weights in net.parameters()) == first + second + head
    assert all(weights.requires_grad for weights in net.parameters())


def test_check_12_a_map_means_the_same_in_every_branch():
    net, maps = network(), torch.rand(9, CELLS)
    branches = net(maps.expand(4, 9, CELLS), (torch.arange(9) % CLASSES).expand(4, 9))
    alone = net(maps, torch.arange(9) % CLASSES)
    for branch in range(4):
        torch.testing.assert_close(branches.embedding[branch], alone.embedding)
        torch.testing.assert_close(branches.energy[branch], alone.energy)


def test_joining_map_and_concept_equals_one_layer_on_both():
    net = network(map_scale=2.5).double()
    joined = nn.Linear(CELLS + WORDS, 8).double()
    with torch.no_grad():
        joined.weight.copy_(torch.cat([net.map_layer.weight, net.concept_layer.weight], dim=1))
        joined.bias.copy_(net.map_layer.bias)
    maps, classes = random_maps(20, CELLS), torch.arange(20) % CLASSES
    both = torch.cat([maps / 2.5, net.concept_vectors[classes]], dim=1)
    expected = net.embedding_layer(joined(both).relu())
    torch.testing.assert_close(net(maps, classes).embedding, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cells", "words"), [(49, 500), (196, 4)])
def test_the_first_layer_is_drawn_as_one_layer_of_both_parts(cells, words):
    net = network(shape=(cells // 7, 7), words=words, hidden_dim=512)
    bound = 1 / math.sqrt(cells + words)
    for weights in (net.map_layer.weight, net.concept_layer.weight, net.map_layer.bias):
        largest = weights.abs().max().item()
        assert 0.97 * bound < largest <= bound


def test_first_weights_follow_from_the_random_state():
    one, again, other = network(seed=1), network(seed=1), network(seed=2)
    pairs = list(zip(one.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


def test_energies_of_all_classes_are_those_of_single_maps():
    net = network(map_scale=0.7).double()
    maps = random_maps(5, CLASSES, 2, 3)
    energies = net.energies(maps)
    for frame in range(5):
        for cls in range(CLASSES):
            expected = net(maps[frame, cls].flatten(), torch.tensor(cls)).energy
            assert energies[frame, cls].item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_map_is_read_row_by_row():
    net, one_map = network(), torch.arange(6.0).reshape(2, 3)
    energies = net.energies(one_map.expand(1, CLASSES, 2, 3))
    torch.testing.assert_close(energies[0, 2], net(torch.arange(6.0), torch.tensor(2)).energy)


def test_all_maps_are_divided_by_one_number():
    plain, scaled = network(), network(map_scale=4.0)
    maps, classes = torch.rand(9, CELLS), torch.arange(9) % CLASSES
    torch.testing.assert_close(scaled(maps * 4, classes).energy, plain(maps, classes).energy)
    assert not torch.allclose(plain(maps * 4, classes).energy, plain(maps, classes).energy)


def test_a_map_of_zeros_is_one_as_any():
    net = network(normalise_embedding=True)
    embedding, energy = net(torch.zeros(CLASSES, CELLS), torch.arange(CLASSES))
    assert torch.isfinite(energy).all()
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(CLASSES))
    assert energy.unique().numel() == CLASSES  # the class alone tells them apart


def test_concept_vectors_and_scale_are_kept_but_not_learnt():
    vectors = torch.randn(CLASSES, WORDS, dtype=torch.float64, requires_grad=True)
    net = EnergyNet(vectors, SHAPE, map_scale=0.25)
    assert {"concept_vectors", "map_scale"} <= net.state_dict().keys()
    assert not {"concept_vectors", "map_scale"} & dict(net.named_parameters()).keys()
    assert net.concept_vectors.dtype == torch.float32
    before = net.concept_vectors.clone()
    with torch.no_grad():
        vectors.zero_()
    net(torch.rand(3, CELLS), torch.arange(3)).energy.sum().backward()
    assert vectors.grad is None
    assert torch.equal(net.concept_vectors, before)


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_in_fp64(normalise):
    net = network(map_scale=0.5, normalise_embedding=normalise).double()
    names = [name for name, _ in net.named_parameters()]
    maps, classes = random_maps(4, CELLS).requires_grad_(), torch.tensor([0, 2, 2, 3])

    def outputs(maps: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (maps, classes)))

    assert gradcheck(outputs, (maps, *net.parameters()))


@pytest.mark.parametrize(
    ("stored", "weights", "tolerance"),
    [
        (torch.float16, torch.float32, 1e-6),
        (torch.bfloat16, torch.float32, 1e-6),
        (torch.float32, torch.float32, 1e-6),
        (torch.float64, torch.float64, 1e-13),
        (torch.float16, torch.float64, 1e-13),
    ],
)
def test_precision(stored, weights, tolerance):
    """Maps are widened to the precision of the weights: nothing is lost beyond the rounding of the maps."""
    net = network(shape=(7, 7), map_scale=0.125).to(weights)
    maps = random_maps(40, 49).to(stored)
    classes = torch.arange(40) % CLASSES
    energy = net(maps, classes).energy
    assert energy.dtype == weights
    expected = copy.deepcopy(net).double()(maps.double(), classes).energy
    assert (energy.double() - expected).abs().max() < tolerance


RESIDUAL = {"residual": True, "residual_scale": 0.4, "window": 2}


def test_a_residual_network_ranks_as_the_window_energy_until_it_has_learnt():
    net, maps = network(**RESIDUAL), torch.rand(30, CLASSES, *SHAPE)
    windows = window_energy(maps, window=2)
    energies = net.energies(maps)
    torch.testing.assert_close(energies, windows / 0.4)
    assert torch.equal(energies.argsort(1), windows.argsort(1))
    assert torch.equal(net.energy_head.weight, torch.zeros(1, 3))
    assert not network().residual


def test_what_a_residual_network_learns_is_added_to_the_window_energy():
    net, plain = network(**RESIDUAL).double(), network().double()
    net.load_state_dict(plain.state_dict() | {"residual_scale": torch.tensor(0.4)})
    maps, classes = random_maps(20, CELLS), torch.arange(20) % CLASSES
    start = window_energy(maps.unflatten(1, SHAPE), window=2) / 0.4
    learnt = plain(maps, classes)
    torch.testing.assert_close(net(maps, classes).energy, start + learnt.energy)
    torch.testing.assert_close(net.start_energy(maps), start)
    torch.testing.assert_close(net(maps, classes).embedding, learnt.embedding)
    torch.testing.assert_close(net(maps, classes, with_start=False).energy, learnt.energy)
    frames = random_maps(5, CLASSES, *SHAPE)
    expected = window_energy(frames, window=2) / 0.4 + plain.energies(frames)
    torch.testing.assert_close(net.energies(frames), expected)
    assert torch.equal(plain.start_energy(maps), torch.zeros(20, dtype=torch.float64))


def test_the_residual_scale_is_kept_but_not_learnt_and_only_with_a_residual_network():
    assert network(**RESIDUAL).state_dict()["residual_scale"] == torch.tensor(0.4)
    assert "residual_scale" not in dict(network(**RESIDUAL).named_parameters())
    assert "residual_scale" not in network().state_dict()


@pytest.mark.parametrize("normalise", [False, True])
def test_centring_makes_the_mean_embedding_before_its_length_zero(normalise):
    net = network(normalise_embedding=normalise).double()
    maps, classes = random_maps(50, CELLS), torch.arange(50) % CLASSES
    hidden = net.hidden(maps, classes)
    net.centre(hidden.mean(0))
    assert net.embedding_layer(hidden).mean(0).abs().max() < 1e-12
