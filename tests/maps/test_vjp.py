import pytest
import torch
from torch import nn

from attn.maps.vjp import Vjp


class Gate(nn.Module):
    """A head no one foresaw: a gate over cells, computed from the activations themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.classes = nn.Conv2d(8, 1, 3, padding=1), nn.Linear(8, 5)

    def forward(self, activations):
        return self.classes((activations * self.gate(activations).sigmoid()).sum(dim=(2, 3)))


HEADS = {
    "unforeseen": lambda: Gate(),
    "in-place first": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(240, 5)),
    "pooled first": lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.Conv2d(8, 5, 2), nn.Tanh(), nn.Flatten(), nn.Linear(10, 5)
    ),
    "BatchNorm": lambda: nn.Sequential(nn.BatchNorm2d(8), nn.SiLU(), nn.AvgPool2d(5), nn.Flatten(), nn.Linear(8, 5)),
}


@pytest.mark.parametrize("kind", HEADS)
def test_maps_are_those_of_the_definition(kind, relu_features, one_class_at_a_time, assert_close_to_largest):
    torch.manual_seed(0)
    head = HEADS[kind]().double().eval()
    activations = relu_features(3, 8, 5, 6)
    with torch.inference_mode():
        maps, logits = Vjp.of([head] if kind == "unforeseen" else list(head), 2**20)(activations.clone())
    expected, expected_logits = one_class_at_a_time(activations, head)
    assert_close_to_largest(maps.relu() / 30, expected, 1e-12)
    assert_close_to_largest(logits, expected_logits, 1e-14)


class Tally(nn.Module):
    """Counts the backward passes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, value):
        if value.requires_grad:
            value.register_hook(self.count)
        return value * 1

    def count(self, gradient) -> None:
        self.passes += 1


@pytest.mark.parametrize(("classes_at_once", "passes"), [(1, 5), (2, 3), (4, 2), (5, 1), (100, 1)])
def test_classes_share_backward_passes_as_the_budget_allows(classes_at_once, passes, relu_features):
    activations, tally = relu_features(2, 8, 5, 6), Tally()
    one_class_bytes = 3 * activations.nbytes
    Vjp.of([tally, Gate().double().eval()], classes_at_once * one_class_bytes)(activations)
    assert tally.passes == passes
