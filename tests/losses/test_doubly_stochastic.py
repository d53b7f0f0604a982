"""Closed values of the doubly stochastic penalty, and slow loops."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from attn.losses.doubly_stochastic import doubly_stochastic_penalty

STEPS, CELLS = 30, 49
UNIFORM = torch.full((1, STEPS, CELLS), 1 / CELLS, dtype=torch.float64)
DISTINCT = torch.eye(CELLS, dtype=torch.float64)[None, :STEPS]
ONE_CELL = torch.zeros(1, STEPS, CELLS, dtype=torch.float64).index_fill_(2, torch.tensor([17]), 1)


def random_weights(*shape: int) -> Tensor:
    logits = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.softmax(logits, dim=-1)


@pytest.mark.parametrize(("weights", "value"), [(UNIFORM, 7.36735), (DISTINCT, 19), (ONE_CELL, 889)])
def test_closed_values(weights, value):
    assert doubly_stochastic_penalty(weights).item() == pytest.approx(value, abs=5e-6)
    assert doubly_stochastic_penalty(weights, reduction="mean").item() == pytest.approx(value / 49, abs=1e-6)


def test_uniform_attention_is_the_minimum_and_has_no_gradient_in_the_logits():
    logits = torch.zeros(1, STEPS, CELLS, dtype=torch.float64, requires_grad=True)
    doubly_stochastic_penalty(torch.softmax(logits, -1)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-15
    assert doubly_stochastic_penalty(random_weights(50, STEPS, CELLS)).min() > 7.36735


def test_gradient_in_the_weights_at_uniform_attention():
    weights = UNIFORM.clone().requires_grad_()
    doubly_stochastic_penalty(weights).sum().backward()
    torch.testing.assert_close(weights.grad, torch.full_like(UNIFORM, -0.7755), rtol=0, atol=5e-5)


def test_the_feasible_target_is_reached_by_uniform_attention():
    assert doubly_stochastic_penalty(UNIFORM, target="T/K2").item() == pytest.approx(0, abs=1e-25)
    assert doubly_stochastic_penalty(ONE_CELL, target="T/K2").item() == pytest.approx(
        (30 / 49 - 30) ** 2 + 48 * (30 / 49) ** 2
    )


@pytest.mark.parametrize("target", ["1", "T/K2"])
def test_equals_slow_loops(target):
    weights = random_weights(3, 4, 5)
    wanted = 1 if target == "1" else 4 / 5
    slow = [sum((wanted - sum(float(window[t, i]) for t in range(4))) ** 2 for i in range(5)) for window in weights]
    found = doubly_stochastic_penalty(weights, target=target)
    assert found.tolist() == pytest.approx(slow, abs=1e-13)
    assert doubly_stochastic_penalty(weights, target=target, reduction="mean").tolist() == pytest.approx(
        [value / 5 for value in slow], abs=1e-13
    )


def test_the_released_line_is_the_sum_over_the_batch_of_the_mean_over_cells():
    weights = random_weights(6, STEPS, CELLS)
    released = ((1 - weights.transpose(0, 1).sum(0)) ** 2).sum(0).mean()
    found = doubly_stochastic_penalty(weights, reduction="mean").sum()
    torch.testing.assert_close(found, released, rtol=1e-13, atol=0)
    torch.testing.assert_close(found, doubly_stochastic_penalty(weights).sum() / 49, rtol=1e-13, atol=0)


def test_gradients_in_fp64():
    assert gradcheck(doubly_stochastic_penalty, (random_weights(2, 3, 4).requires_grad_(),))
