import math

import pytest
import torch

from attn.losses.temporal import attention_smoothness, attention_sparsity, label_cross_entropy


def test_smoothness_of_uniform_and_one_hot_attention():
    weights = torch.cat([torch.full((1, 5), 0.2), torch.eye(5)])
    real = torch.ones(6, 5, dtype=torch.bool)
    assert attention_smoothness(weights, real).tolist() == [0, 1, 2, 2, 2, 1]
    padded = torch.cat([weights, torch.zeros(6, 2)], 1)
    assert attention_smoothness(padded, torch.cat([real, ~real[:, :2]], 1)).tolist() == [0, 1, 2, 2, 2, 1]


def test_normalised_attention_has_no_gradient_of_sparsity_and_sigmoids_do():
    logits = torch.randn(2, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sparse = attention_sparsity(logits.softmax(1), normalised=True)
    assert sparse.tolist() == [1, 1]
    assert not sparse.requires_grad
    weights = logits.sigmoid()
    assert attention_sparsity(weights, normalised=False).tolist() == pytest.approx(weights.sum(1).tolist())
    (gradient,) = torch.autograd.grad(attention_sparsity(weights, normalised=False).sum(), logits)
    assert (gradient > 0).all()


def test_cross_entropy_shares_a_label_among_classes_and_leaves_background_out():
    logits = torch.tensor([[0.0, 0.0, math.log(2)]] * 3, dtype=torch.float64)  # probabilities 1/4, 1/4, 1/2
    classes = torch.tensor([[0, 0, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.bool)
    expected = [math.log(2), (math.log(4) + math.log(2)) / 2, 0]
    assert label_cross_entropy(logits, classes).tolist() == pytest.approx(expected)
