import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from attn.losses.cosine import cosine_distance

UNHURRIED = settings(deadline=None)  # the first call of a kernel compiles its checks


def slow_distance(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return 1 - dot / lengths


def random_pairs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@UNHURRIED
@given(st.integers(1, 5), st.integers(1, 70), st.integers(0, 2**31))
def test_equals_slow_loops(count, dim, seed):
    a, b = random_pairs(count, dim, seed=seed)
    expected = [slow_distance(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    torch.testing.assert_close(cosine_distance(a, b), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("other", "expected"), [((3, 4), 0), ((-4, 3), 1), ((-3, -4), 2), ((6, 8), 0), ((0, 0), 1)])
def test_same_perpendicular_opposite_longer_and_none(other, expected):
    distance = cosine_distance(torch.tensor([3.0, 4.0]), torch.tensor([float(x) for x in other]))
    assert distance.item() == pytest.approx(expected, abs=1e-6)


@UNHURRIED
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_lengths_do_not_count(first, second):
    a, b = random_pairs(4, 8)
    torch.testing.assert_close(cosine_distance(a * first, b * second), cosine_distance(a, b), rtol=0, atol=1e-9)


@UNHURRIED
@given(st.integers(0, 2**31))
def test_is_symmetric_and_from_0_to_2(seed):
    a, b = random_pairs(9, 3, seed=seed)
    assert torch.equal(cosine_distance(a, b), cosine_distance(b, a))
    assert ((cosine_distance(a, b) > -1e-12) & (cosine_distance(a, b) < 2 + 1e-12)).all()


def test_gradients_in_fp64():
    a, b = random_pairs(3, 5).requires_grad_()
    assert gradcheck(cosine_distance, (a, b))


def test_an_embedding_of_length_zero_has_finite_gradients():
    a, b = torch.zeros(4, requires_grad=True), torch.ones(4, requires_grad=True)
    cosine_distance(a, b).backward()
    assert a.grad is not None
    assert b.grad is not None
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


@pytest.mark.parametrize(
    ("dtype", "computed", "tolerance"),
    [
        (torch.float16, torch.float32, 2e-6),
        (torch.bfloat16, torch.float32, 2e-6),
        (torch.float32, torch.float32, 2e-6),
        (torch.float64, torch.float64, 1e-14),
    ],
)
def test_precision(dtype, computed, tolerance):
    """Against the oracle on the rounded numbers: nothing may be lost beyond the rounding of the inputs."""
    a, b = random_pairs(50, 64).to(dtype)
    distance = cosine_distance(a, b)
    expected = [slow_distance(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    assert distance.dtype == computed
    assert (distance.double() - torch.tensor(expected, dtype=torch.float64)).abs().max() < tolerance


def test_long_half_precision_embeddings_do_not_overflow():
    a = torch.full((64,), 300.0, dtype=torch.float16)
    assert cosine_distance(a, a).item() == pytest.approx(0, abs=1e-6)


def test_no_samples():
    assert cosine_distance(torch.zeros(0, 7), torch.zeros(0, 7)).shape == (0,)
