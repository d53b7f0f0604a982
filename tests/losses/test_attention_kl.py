"""Closed values of the normalised KL divergence of attention maps, a slow loop, and its gradients."""

import math

import pytest
import torch
from torch import Tensor

from attn.losses.attention_kl import attention_kl


def random_maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def one_hot(clips: int = 2, time: int = 3) -> Tensor:
    logits = torch.full((clips, time, 4, 5), -1e4, dtype=torch.float64)
    logits[:, :, 2, 1] = 1e4
    return logits


def loop(p_logits: Tensor, q_logits: Tensor) -> list[float]:
    """KL(P || Q) by weights, cell by cell."""
    found = []
    for p_clip, q_clip in zip(p_logits, q_logits, strict=True):
        total = 0.0
        for p_step, q_step in zip(p_clip, q_clip, strict=True):
            p, q = torch.softmax(p_step.flatten(), 0), torch.softmax(q_step.flatten(), 0)
            total += sum(float(a) * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        found.append(total / (len(p_clip) * math.log(p_clip[0].numel())))
    return found


@pytest.mark.parametrize("direction", ["reverse", "forward"])
def test_closed_values(direction):
    maps = random_maps(0, 2, 3, 4, 5)
    assert attention_kl(maps, maps, direction=direction).abs().max() < 1e-15
    assert attention_kl(maps, maps + 7, direction=direction).abs().max() < 1e-14  # logits have no scale
    assert attention_kl(torch.zeros(2, 3, 4, 5), direction=direction).abs().max() < 1e-7


def test_one_cell_is_at_distance_1_from_the_uniform_map():
    torch.testing.assert_close(attention_kl(one_hot()), torch.ones(2, dtype=torch.float64))


def test_other_targets_can_exceed_1_and_stay_finite():
    far = torch.flip(one_hot(), (2,))
    found = attention_kl(one_hot().requires_grad_(), far)
    assert torch.isfinite(found).all()
    assert (found > 1).all()


def test_equals_a_loop_in_both_directions():
    ours, theirs = random_maps(1, 3, 2, 4, 5), 3 * random_maps(2, 3, 2, 4, 5)
    assert attention_kl(ours, theirs).tolist() == pytest.approx(loop(ours, theirs), rel=1e-12)
    assert attention_kl(ours, theirs, direction="forward").tolist() == pytest.approx(loop(theirs, ours), rel=1e-12)
    hot = attention_kl(ours, theirs, temperature=2.0, target_temperature=0.5)
    assert hot.tolist() == pytest.approx(loop(ours / 2, theirs / 0.5), rel=1e-12)


@pytest.mark.parametrize("direction", ["reverse", "forward"])
def test_only_the_prediction_has_a_gradient(direction):
    ours, theirs = random_maps(3, 1, 2, 3, 3).requires_grad_(), random_maps(4, 1, 2, 3, 3).requires_grad_()
    torch.autograd.gradcheck(lambda logits: attention_kl(logits, theirs, direction=direction), ours)
    attention_kl(ours, theirs, direction=direction).sum().backward()
    assert ours.grad is not None
    assert ours.grad.abs().max() > 0.01
    assert theirs.grad is None


def test_single_cells_have_no_divergence():
    maps = random_maps(5, 2, 3, 1, 1)
    assert attention_kl(maps).tolist() == attention_kl(maps, 2 * maps).tolist() == [0, 0]


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, 5\) and \(2, 4, 5\)"):
        attention_kl(torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5))
