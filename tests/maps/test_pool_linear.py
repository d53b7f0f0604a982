import pytest
import torch
from torch import nn

from attn.maps.head_layers import head_layers
from attn.maps.pool_linear import PoolLinear, channel_sums


@pytest.fixture
def head() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).double().eval()


def test_a_map_averages_to_the_logit_without_its_bias(head, relu_features):
    maps, logits = PoolLinear.of(head_layers(head), 0)(relu_features(3, 8, 5, 9))
    assert torch.allclose(maps.mean(dim=(2, 3)), logits - head[-1].bias, rtol=0, atol=1e-14)
    assert maps.min() < 0  # not yet rectified, or the sum would not hold


def test_logits_are_the_heads_to_the_last_bit(head, relu_features):
    activations = relu_features(3, 8, 5, 9)
    _, logits = PoolLinear.of(head_layers(head), 0)(activations)
    assert torch.equal(logits, head(activations))


@pytest.mark.parametrize(
    "layers",
    [
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)],
        [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(48, 5)],
        [nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(32, 5, bias=False)],
        [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1), nn.Flatten()],
    ],
    ids=str,
)
def test_maps_are_those_of_the_definition(layers, relu_features, one_class_at_a_time, assert_close_to_largest):
    head = nn.Sequential(*layers).double()
    activations = relu_features(2, 8, 6, 5)
    maps, _ = PoolLinear.of(layers, 0)(activations)
    expected, _ = one_class_at_a_time(activations, head)
    assert_close_to_largest(maps.relu() / 30, expected, 1e-13)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Flatten(), nn.Linear(8, 5)],
        [nn.AdaptiveAvgPool2d((None, 1)), nn.Flatten(), nn.Linear(8, 5)],
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(dim=1)],
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 5)],
        [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 3, padding=1), nn.Flatten()],
        [nn.AvgPool2d(7), nn.Flatten(), nn.Linear(8, 5)],
        [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)],
    ],
    ids=str,
)
def test_other_heads_are_left_to_others(layers):
    assert PoolLinear.of(layers, 0) is None


def test_channel_sums_add_the_cells_of_each_channel():
    linear = nn.Linear(2 * 3, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2, 3, 10, 20, 30]]))
    assert channel_sums(linear, 3).tolist() == [[6, 60]]
