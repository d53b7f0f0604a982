"""Adam as released: its first step, many steps against slow loops, and a state that is saved."""

import math

import pytest
import torch

from attn.training.released_adam import ReleasedAdam


def gradients(steps: int) -> torch.Tensor:
    return torch.randn(steps, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e-3


def test_the_first_step():
    weight = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor([1e-2, -3.0, 700.0, -1e-3], dtype=torch.float64)
    ReleasedAdam([weight], lr=2e-4).step()
    signs = torch.tensor([-1, 1, -1, 1], dtype=torch.float64)
    torch.testing.assert_close(weight.detach() / (2e-4 * signs), torch.full_like(signs, 3.512), rtol=1e-3, atol=0)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_many_steps_equal_slow_loops(decay):
    weight = torch.ones(6, dtype=torch.float64, requires_grad=True)
    optimizer = ReleasedAdam([weight], lr=0.01, weight_decay=decay)
    expected, m, v = [1.0] * 6, [0.0] * 6, [0.0] * 6
    for t, gradient in enumerate(gradients(20), start=1):
        weight.grad = gradient.clone()
        optimizer.step()
        for k in range(6):
            g = float(gradient[k]) + decay * expected[k]
            m[k] = 0.1 * g + 0.9 * m[k]
            v[k] = 0.001 * g * g + 0.999 * v[k]
            rate = 0.01 * math.sqrt(1 - 0.001**t) / (1 - 0.1**t)
            expected[k] -= rate * m[k] / (math.sqrt(v[k]) + 1e-8)
    assert weight.tolist() == pytest.approx(expected, abs=1e-12)


def test_a_resumed_state_moves_the_same_way():
    ends = []
    for resumed in (False, True):
        weight = torch.ones(6, dtype=torch.float64, requires_grad=True)
        optimizer = ReleasedAdam([weight], lr=0.01)
        for gradient in gradients(6):
            if resumed:
                state, optimizer = optimizer.state_dict(), ReleasedAdam([weight], lr=0.01)
                optimizer.load_state_dict(state)
            weight.grad = gradient.clone()
            optimizer.step()
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_a_weight_without_a_gradient_stays():
    weight = torch.ones(2, requires_grad=True)
    ReleasedAdam([weight], lr=1.0, weight_decay=1.0).step()
    assert weight.tolist() == [1, 1]
