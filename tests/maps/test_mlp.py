import pytest
import torch
from torch import nn

from attn.maps.mlp import Mlp


def vgg_head(cells: int, hidden: int = 24, num_classes: int = 6) -> list[nn.Module]:
    """VGG's own head with narrower layers."""
    torch.manual_seed(cells)
    return [
        *(nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d((cells, cells)), nn.Flatten()),
        *(nn.Linear(8 * cells**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
        nn.Linear(hidden, num_classes),
    ]


@pytest.mark.parametrize(
    ("rows", "cols", "cells"), [(14, 14, 7), (16, 16, 7), (30, 30, 7), (5, 9, 3), (4, 4, 7)], ids=str
)
def test_maps_survive_ties_zeros_borders_and_overlapping_bins(
    rows, cols, cells, relu_features, one_class_at_a_time, assert_close_to_largest
):
    head = nn.Sequential(*vgg_head(cells)).double()
    activations = relu_features(3, 8, rows, cols).round()  # whole numbers: ties in most pooling windows
    assert (activations == 0).float().mean() > 0.5
    maps, logits = Mlp.of(list(head), 2**20)(activations)
    expected, expected_logits = one_class_at_a_time(activations, head)
    assert_close_to_largest(maps.relu() / (rows * cols), expected, 1e-12)
    assert_close_to_largest(logits, expected_logits, 1e-14)


def test_a_unit_at_exactly_zero_passes_no_gradient(one_class_at_a_time):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        head[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
        head[2].bias.zero_()
        head[4].weight.fill_(1)
    activations = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 4.0]]]], dtype=torch.float64)
    assert not one_class_at_a_time(activations, head)[0].any()
    assert not Mlp.of(list(head), 2**20)(activations)[0].any()


def test_logits_are_the_heads_to_the_last_bit(relu_features):
    head = nn.Sequential(*vgg_head(3)).double()
    activations = relu_features(3, 8, 6, 6)
    assert torch.equal(Mlp.of(list(head), 2**20)(activations)[1], head(activations))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_any_depth(depth, relu_features, one_class_at_a_time, assert_close_to_largest):
    torch.manual_seed(depth)
    hidden = [layer for _ in range(depth - 2) for layer in (nn.Linear(16, 16), nn.ReLU())]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), *hidden, nn.Linear(16, 4))
    activations = relu_features(2, 8, 5, 5)
    maps, _ = Mlp.of(list(head.double()), 2**20)(activations)
    assert_close_to_largest(maps.relu() / 25, one_class_at_a_time(activations, head)[0], 1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        vgg_head(3)[:4],
        vgg_head(3)[:5],
        vgg_head(3)[:1] + vgg_head(3)[2:],
        [*vgg_head(3), nn.ReLU()],
        [*vgg_head(3)[:4], nn.GELU(), *vgg_head(3)[5:]],
        [*vgg_head(3)[:4], *vgg_head(3)[5:]],
    ],
    ids=str,
)
def test_other_heads_are_left_to_others(layers):
    assert Mlp.of(layers, 2**20) is None
