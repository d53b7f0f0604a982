"""Closed values of the discrepancy, its floor and its gradients."""

import math

import pytest
import torch

from attn.losses.mmd import maximum_mean_discrepancy


def sets(n=4, m=6, width=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=rng, dtype=torch.float64), torch.randn(
        m, width, generator=rng, dtype=torch.float64
    )


def test_of_two_points_at_distance_two():
    first, second = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    found = maximum_mean_discrepancy(first, second, bandwidth=torch.tensor(1.0))
    assert found.value.item() == pytest.approx(2 - 2 * math.exp(-2)) == pytest.approx(1.72933, abs=1e-5)


@pytest.mark.parametrize(("n", "expected"), [(8, 0.10334), (16, 0.05040)])
def test_of_orthonormal_points_is_the_floor(n, expected):
    points = torch.eye(2 * n, dtype=torch.float64)
    value, floor = maximum_mean_discrepancy(points[:n], points[n:])
    assert value.item() == pytest.approx(expected, abs=1e-5)
    assert value.item() == pytest.approx(2 / n * (1 - math.exp(-n / (2 * n - 1))))
    assert floor.item() == pytest.approx(value.item())


@pytest.mark.parametrize("kernel", ["gaussian", "multi"])
def test_equal_sets_have_none_and_copies_order_and_sides_do_not_matter(kernel):
    (first, second), width = sets(), torch.tensor(2.0)

    def of(*pair, bandwidth=width):
        return maximum_mean_discrepancy(*pair, kernel=kernel, bandwidth=bandwidth).value.item()

    assert of(first, first) == pytest.approx(0, abs=1e-15)
    value = of(first, second)
    assert value > 0
    assert of(first.repeat(2, 1), second) == pytest.approx(value)
    assert of(first.flip(0), second.roll(2, 0)) == pytest.approx(value)
    assert of(second, first) == pytest.approx(value)
    assert of(torch.zeros(3, 2), torch.zeros(2, 2), bandwidth=None) == 0


def test_the_bandwidth_is_the_mean_squared_distance_of_all_pairs():
    first, second = sets()
    pooled = torch.cat([first, second])
    width = torch.cdist(pooled, pooled).square().sum() / len(pooled) ** 2
    found = maximum_mean_discrepancy(first, second).value
    assert found.item() == pytest.approx(maximum_mean_discrepancy(first, second, bandwidth=width).value.item())


def test_the_unbiased_form_is_the_biased_one_without_diagonals():
    (first, second), width = sets(), torch.tensor(2.0)
    kernel = torch.exp(-torch.cdist(first, second).square() / (2 * width))
    biased = maximum_mean_discrepancy(first, second, bandwidth=width).value.item()
    unbiased, floor = maximum_mean_discrepancy(first, second, bandwidth=width, estimate="unbiased")
    n, m = len(first), len(second)
    within = [
        torch.exp(-torch.cdist(one, one).square() / (2 * width)).sum().item() for one in (first, second)
    ]  # with diagonals of n and m
    expected = (within[0] - n) / (n * (n - 1)) + (within[1] - m) / (m * (m - 1)) - 2 * kernel.mean().item()
    assert unbiased.item() == pytest.approx(expected)
    assert biased == pytest.approx(within[0] / n**2 + within[1] / m**2 - 2 * kernel.mean().item())
    assert floor.item() == 0


@pytest.mark.parametrize("estimate", ["biased", "unbiased"])
def test_gradients_flow_to_both_sets_and_not_through_the_bandwidth(estimate):
    first, second = (one.requires_grad_() for one in sets())
    width = torch.tensor(2.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: maximum_mean_discrepancy(a, b, bandwidth=width, estimate=estimate, kernel="multi").value,
        (first, second),
    )
    pooled = torch.cat([first, second]).detach()
    fixed = torch.cdist(pooled, pooled).square().mean()
    values = [maximum_mean_discrepancy(first, second, bandwidth=one).value for one in (None, fixed)]
    ours, theirs = (torch.autograd.grad(value, (first, second)) for value in values)
    for one, other in zip(ours, theirs, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other)


def test_sets_of_equal_distribution_come_near_the_floor():
    rng = torch.Generator().manual_seed(0)
    found = [maximum_mean_discrepancy(*torch.randn(2, 16, 64, generator=rng)) for _ in range(50)]
    mean, floor = (torch.stack([one[i] for one in found]).mean().item() for i in (0, 1))
    assert mean == pytest.approx(floor, rel=0.05)
