import pytest
import torch
from torch import nn

from attn.maps.conv_pool import ConvPool


def chain(conv: nn.Conv2d) -> list[nn.Module]:
    return [conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@pytest.mark.parametrize("bias", [True, False])
def test_maps_and_logits_are_those_of_the_definition(bias, relu_features, one_class_at_a_time, assert_close_to_largest):
    torch.manual_seed(0)
    layers = chain(nn.Conv2d(8, 5, 1, bias=bias).double())
    activations = relu_features(3, 8, 5, 9)
    maps, logits = ConvPool.of(layers, 0)(activations)
    expected, expected_logits = one_class_at_a_time(activations, nn.Sequential(*layers))
    assert_close_to_largest(maps.relu() / 45, expected, 1e-13)
    assert_close_to_largest(logits, expected_logits, 1e-13)


def test_a_cell_whose_score_is_exactly_zero_passes_no_gradient(one_class_at_a_time, assert_close_to_largest):
    layers = chain(nn.Conv2d(1, 1, 1, bias=False).double())
    nn.init.ones_(layers[0].weight)
    activations = torch.tensor([[[[0.0, 3.0], [0.0, 0.0]]]], dtype=torch.float64)
    maps, _ = ConvPool.of(layers, 0)(activations)
    assert maps.tolist() == [[[[0, 0.75], [0, 0]]]]
    assert_close_to_largest(maps / 4, one_class_at_a_time(activations, nn.Sequential(*layers))[0], 1e-15)


def test_a_class_that_no_cell_speaks_for_has_no_map(relu_features):
    layers = chain(nn.Conv2d(8, 5, 1).double())
    nn.init.constant_(layers[0].bias, -1e3)
    maps, logits = ConvPool.of(layers, 0)(relu_features(2, 8, 4, 4))
    assert not maps.any()
    assert not logits.any()


@pytest.mark.parametrize(
    "layers",
    [
        chain(nn.Conv2d(8, 5, 3)),
        chain(nn.Conv2d(8, 5, 1, stride=2)),
        chain(nn.Conv2d(8, 5, 1, padding=1)),
        chain(nn.Conv2d(5, 5, 1, groups=5)),
        chain(nn.Conv2d(8, 5, 1))[:-1],
        [nn.Conv2d(8, 5, 1), nn.LeakyReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        [nn.Conv2d(8, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()],
        [nn.Conv2d(8, 5, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()],
        [nn.Flatten()],
        [],
    ],
    ids=str,
)
def test_other_heads_are_left_to_others(layers):
    assert ConvPool.of(layers, 0) is None
