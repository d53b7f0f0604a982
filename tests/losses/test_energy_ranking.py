"""Check 8 of the faithfulness checks, an oracle in slow loops, and precisions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from attn.losses.energy_ranking import energy_ranking_loss

UNHURRIED = settings(deadline=None)  # the first call of a kernel compiles its checks

ENERGIES = st.floats(-100, 100)


def loss_and_gradients(false: float, true: float, margin: float) -> tuple[float, float, float]:
    energies = torch.tensor([false, true], dtype=torch.float64, requires_grad=True)
    loss = energy_ranking_loss(energies[0], energies[1], margin=float(margin))
    loss.backward()
    assert energies.grad is not None
    return (loss.item(), *energies.grad.tolist())


@UNHURRIED
@given(st.lists(st.tuples(ENERGIES, ENERGIES), max_size=20), st.floats(0.01, 10))
def test_equals_slow_loops(pairs, margin):
    false, true = torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2).unbind(1)
    expected = [max(0.0, low - high + margin) for low, high in pairs]
    assert energy_ranking_loss(false, true, margin=margin).tolist() == expected


@pytest.mark.parametrize("margin", [0.1, 1.0, 5.0])
def test_check_8_equal_energies_cost_the_margin(margin):
    assert loss_and_gradients(3, 3, margin)[0] == margin


@pytest.mark.parametrize("true", [1.0, 1.25, 50.0])
def test_check_8_a_kept_margin_costs_nothing_and_has_no_gradient(true):
    assert loss_and_gradients(0, true, 1) == (0, 0, 0)


@pytest.mark.parametrize(("false", "true", "loss"), [(0, 0.5, 0.5), (2, 1, 2), (-3, -3, 1)])
def test_check_8_gradients_of_an_active_loss_are_plus_and_minus_one(false, true, loss):
    assert loss_and_gradients(false, true, 1) == (loss, 1, -1)


def test_the_margin_is_one_unless_said_otherwise():
    assert energy_ranking_loss(torch.tensor(0.0), torch.tensor(0.0)).item() == 1


@UNHURRIED
@given(ENERGIES, ENERGIES, st.integers(-50, 50))
def test_only_differences_count(false, true, shift):
    false, true = (torch.tensor(value, dtype=torch.float64) for value in (false, true))
    moved = energy_ranking_loss(false + shift, true + shift)
    torch.testing.assert_close(moved, energy_ranking_loss(false, true), rtol=0, atol=1e-12)


def test_gradients_in_fp64():
    generator = torch.Generator().manual_seed(0)
    energies = torch.randn(2, 30, dtype=torch.float64, generator=generator)
    # Far from the hinge, where there is no gradient to compare with.
    false, true = energies[:, ((energies[0] - energies[1] + 1).abs() > 1e-3)].requires_grad_()
    assert gradcheck(lambda low, high: energy_ranking_loss(low, high, margin=1.0), (false, true))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 4e-3), (torch.bfloat16, 4e-2), (torch.float32, 1e-6), (torch.float64, 1e-15)],
)
def test_precision(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    false, true = torch.randn(2, 200, dtype=torch.float64, generator=generator).to(dtype)
    pairs = zip(false.tolist(), true.tolist(), strict=True)
    expected = torch.tensor([max(0.0, low - high + 1) for low, high in pairs], dtype=torch.float64)
    loss = energy_ranking_loss(false, true)
    assert loss.dtype == dtype
    assert (loss.double() - expected).abs().max() < tolerance


def test_no_samples():
    assert energy_ranking_loss(torch.zeros(0), torch.zeros(0)).shape == (0,)


def test_a_loss_that_is_not_a_number_stays_one():
    assert energy_ranking_loss(torch.tensor(float("nan")), torch.tensor(0.0)).isnan()
