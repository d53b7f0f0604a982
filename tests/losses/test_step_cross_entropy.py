"""Every step counts once, against slow loops."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from attn.losses.step_cross_entropy import step_cross_entropy

LOGITS = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([4, 0, 2])
MASK = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]]).bool()


def test_one_class_per_window():
    slow = [
        -sum(math.log(math.exp(step[label]) / sum(map(math.exp, step))) for step in window)
        for window, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    ]
    assert step_cross_entropy(LOGITS, LABELS).tolist() == pytest.approx(slow, abs=1e-12)


def test_several_classes_per_window():
    slow = []
    for window, classes in zip(LOGITS.tolist(), MASK.tolist(), strict=True):
        terms = [
            math.log(p) if shown else math.log(1 - p)
            for step in window
            for p, shown in zip([1 / (1 + math.exp(-logit)) for logit in step], classes, strict=True)
        ]
        slow.append(-sum(terms))
    assert step_cross_entropy(LOGITS, MASK).tolist() == pytest.approx(slow, abs=1e-12)


def test_every_step_counts():
    uniform = torch.zeros(1, 30, 7)
    assert step_cross_entropy(uniform, torch.tensor([3])).item() == pytest.approx(30 * math.log(7), rel=1e-6)


def test_gradients_in_fp64():
    for labels in (LABELS, MASK):
        assert gradcheck(step_cross_entropy, (LOGITS.clone().requires_grad_(), labels))
