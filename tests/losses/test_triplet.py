"""Check 9 of the faithfulness checks, an oracle in slow loops, and precisions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from attn.losses.triplet import triplet_loss

UNHURRIED = settings(deadline=None)  # the first call of a kernel compiles its checks


def slow_loss(anchor: list[float], positive: list[float], negative: list[float], margin: float) -> float:
    def distance(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    return max(0.0, distance(anchor, positive) - distance(anchor, negative) + margin)


def slow_losses(triplets: Tensor, margin: float) -> Tensor:
    losses = [slow_loss(*triplet, margin=margin) for triplet in zip(*triplets.tolist(), strict=True)]
    return torch.tensor(losses, dtype=torch.float64)


def random_triplets(count: int, dim: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(3, count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@UNHURRIED
@given(st.integers(0, 6), st.integers(2, 70), st.floats(0, 2), st.integers(0, 2**31))
def test_equals_slow_loops(count, dim, margin, seed):
    triplets = random_triplets(count, dim, seed)
    torch.testing.assert_close(
        triplet_loss(*triplets, margin=margin), slow_losses(triplets, margin), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_check_9_three_equal_embeddings_cost_the_margin(margin):
    f = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(triplet_loss(f, f, f, margin=margin), torch.full((5,), margin))


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.99])
def test_check_9_an_opposite_negative_costs_nothing(margin):
    f = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    assert triplet_loss(f, f, -f, margin=margin).tolist() == [0] * 5


@UNHURRIED
@given(st.floats(1e-3, 1e3), st.sampled_from([0, 1, 2]))
def test_check_9_positive_rescaling_of_any_embedding_changes_nothing(factor, which):
    triplets = random_triplets(8)
    scaled = triplets.clone()
    scaled[which] *= factor
    torch.testing.assert_close(triplet_loss(*scaled), triplet_loss(*triplets), rtol=0, atol=1e-9)


def test_check_9_gradients_in_fp64():
    triplets = random_triplets(20, dim=4)
    smooth = [i for i in range(20) if abs(slow_losses(triplets, 0.5)[i]) > 1e-3]
    assert 5 < len(smooth) < 20  # the hinge holds some, and is passed by others
    anchor, positive, negative = triplets[:, smooth].requires_grad_()
    assert gradcheck(triplet_loss, (anchor, positive, negative))


def test_the_margin_is_a_half_unless_said_otherwise():
    assert triplet_loss(*torch.ones(3, 1, 4)).tolist() == pytest.approx([0.5])


def test_a_close_positive_and_a_far_negative_are_wanted_and_not_the_reverse():
    near, far = torch.tensor([[1.0, 0.1]]), torch.tensor([[-1.0, 0.1]])
    anchor = torch.tensor([[1.0, 0.0]])
    assert triplet_loss(anchor, near, far).item() == 0
    assert triplet_loss(anchor, far, near).item() > 2


def test_what_has_no_positive_costs_nothing_and_has_no_gradient():
    triplets = random_triplets(6).requires_grad_()
    valid = torch.tensor([True, False, True, False, False, True])
    loss = triplet_loss(*triplets, margin=2.0, valid=valid)
    whole = slow_losses(triplets, 2.0)
    assert (whole > 0).all()
    torch.testing.assert_close(loss.detach(), whole * valid, rtol=0, atol=1e-12)
    loss.sum().backward()
    assert triplets.grad is not None
    assert (triplets.grad[:, ~valid] == 0).all()
    assert (triplets.grad[:, valid].abs().amax(-1) > 0).all()


def test_none_valid():
    triplets = random_triplets(3).requires_grad_()
    loss = triplet_loss(*triplets, valid=torch.zeros(3, dtype=torch.bool))
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 0]
    assert triplets.grad is not None
    assert (triplets.grad == 0).all()


@pytest.mark.parametrize(
    ("dtype", "computed", "tolerance"),
    [
        (torch.float16, torch.float32, 4e-6),
        (torch.bfloat16, torch.float32, 4e-6),
        (torch.float32, torch.float32, 4e-6),
        (torch.float64, torch.float64, 1e-14),
    ],
)
def test_precision(dtype, computed, tolerance):
    """Against the oracle on the rounded numbers: nothing may be lost beyond the rounding of the inputs."""
    triplets = random_triplets(50).to(dtype)
    loss = triplet_loss(*triplets)
    assert loss.dtype == computed
    assert (loss.double() - slow_losses(triplets, 0.5)).abs().max() < tolerance


def test_no_samples():
    empty = torch.zeros(0, 64)
    assert triplet_loss(empty, empty, empty, valid=torch.zeros(0, dtype=torch.bool)).shape == (0,)
