import pytest
import torch
from torch import nn

from attn.maps.head_layers import apply, class_chunks, head_layers, is_flatten, pooled_cells, split_pooling


class Doubling(nn.Sequential):
    """Looks like a chain of its children and is not."""

    def forward(self, value):
        return 2 * super().forward(value)


def test_nested_chains_become_one_without_what_does_nothing():
    linear, relu = nn.Linear(2, 2), nn.ReLU()
    head = nn.Sequential(nn.Identity(), nn.Sequential(nn.Dropout(), nn.Sequential(linear)), nn.Dropout2d(), relu)
    assert head_layers(head) == [linear, relu]


def test_a_chain_with_a_forward_of_its_own_stays_closed():
    doubling = Doubling(nn.Linear(2, 2))
    assert head_layers(nn.Sequential(doubling, nn.Flatten()))[0] is doubling


def test_a_single_layer_is_a_chain_of_one():
    linear = nn.Linear(2, 2)
    assert head_layers(linear) == [linear]


def test_only_pooling_in_front_is_split_off():
    layers = [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(7), nn.ReLU(), nn.MaxPool2d(2)]
    assert split_pooling(layers) == (layers[:2], layers[2:])
    assert split_pooling(layers[2:]) == ([], layers[2:])


@pytest.mark.parametrize(
    "pooling",
    [
        [nn.MaxPool2d(2, 2)],
        [nn.MaxPool2d(3, 2, padding=1)],
        [nn.MaxPool2d(3, 1, ceil_mode=True)],
        [nn.AdaptiveAvgPool2d(7)],
        [nn.AdaptiveAvgPool2d((2, 3))],
        [nn.AdaptiveMaxPool2d(4)],
        [nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d((7, 7))],
    ],
    ids=str,
)
@pytest.mark.parametrize("cells", [(8, 8), (15, 15), (5, 9)], ids=str)
def test_pooling_in_front_conserves_the_sum_of_the_gradient(pooling, cells, relu_features):
    assert split_pooling(pooling) == (pooling, [])
    activations = relu_features(2, 3, *cells).round().requires_grad_()  # rounded: many ties, many zeros
    pooled = apply(pooling, activations)
    seeds = torch.randn(pooled.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(pooled, activations, seeds)
    assert torch.allclose(gradient.sum(dim=(2, 3)), seeds.sum(dim=(2, 3)), rtol=0, atol=1e-13)


def test_average_pooling_with_strides_does_not_conserve_it_and_is_not_split_off():
    pooling = nn.AvgPool2d(3, 2, padding=1)
    assert split_pooling([pooling]) == ([], [pooling])
    activations = torch.rand(1, 1, 6, 6, requires_grad=True)
    pooled = pooling(activations)
    (gradient,) = torch.autograd.grad(pooled.sum(), activations)
    assert gradient.sum() < pooled.numel() - 0.5


@pytest.mark.parametrize(
    ("pooling", "cells"),
    [
        ([nn.AdaptiveAvgPool2d(1)], 1),
        ([nn.MaxPool2d(2), nn.AdaptiveAvgPool2d((7, 7))], 49),
        ([nn.AdaptiveMaxPool2d((2, 3))], 6),
        ([nn.AdaptiveAvgPool2d((None, 3))], None),
        ([nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(1)], None),
        ([], None),
    ],
)
def test_cells_left_by_the_pooling(pooling, cells):
    assert pooled_cells(pooling) == cells


def test_only_flattening_of_all_but_the_batch_counts():
    assert is_flatten(nn.Flatten())
    assert not is_flatten(nn.Flatten(2))
    assert not is_flatten(nn.Flatten(1, 2))
    assert not is_flatten(nn.ReLU())


@pytest.mark.parametrize(("budget_bytes", "sizes"), [(10**9, [7]), (30, [3, 3, 1]), (10, [1] * 7), (0, [1] * 7)])
def test_chunks_cover_all_classes_once_within_the_budget(budget_bytes, sizes):
    parts = list(class_chunks(7, class_bytes=10, budget_bytes=budget_bytes))
    assert [c for part in parts for c in range(7)[part]] == list(range(7))
    assert [part.stop - part.start for part in parts] == sizes
