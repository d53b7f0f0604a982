import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from attn.concepts.average import average_word_vector
from attn.concepts.fisher import Gmm, fisher_vector, posteriors, signed_root


def drawn_gmm(gaussians: int, dim: int, seed: int = 0) -> Gmm:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.2, 1, gaussians)
    return Gmm(weights / weights.sum(), rng.normal(size=(gaussians, dim)), rng.uniform(0.3, 2, (gaussians, dim)))


def drawn_words(count: int, dim: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim))


def slow_density(word, mean, variance) -> float:
    """Product of one-dimensional normal densities."""
    return math.prod(
        math.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        for x, m, v in zip(word, mean, variance, strict=True)
    )


def slow_posteriors(words, gmm: Gmm) -> list[list[float]]:
    rows = []
    for word in words:
        parts = [w * slow_density(word, m, v) for w, m, v in zip(gmm.weights, gmm.means, gmm.variances, strict=True)]
        rows.append([part / sum(parts) for part in parts])
    return rows


def slow_fisher(words, gmm: Gmm) -> list[float]:
    """Spec section 2, a number at a time."""
    shares, (gaussians, dim), count = slow_posteriors(words, gmm), gmm.means.shape, len(words)
    means, deviations = [], []
    for k in range(gaussians):
        for d in range(dim):
            z = [(words[t][d] - gmm.means[k][d]) / math.sqrt(gmm.variances[k][d]) for t in range(count)]
            w = gmm.weights[k]
            means.append(sum(shares[t][k] * z[t] for t in range(count)) / (count * math.sqrt(w)))
            deviations.append(sum(shares[t][k] * (z[t] ** 2 - 1) for t in range(count)) / (count * math.sqrt(2 * w)))
    return means + deviations


SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**31))


@given(SIZES)
def test_equals_slow_loops(sizes):
    count, gaussians, dim, seed = sizes
    words, gmm = drawn_words(count, dim, seed), drawn_gmm(gaussians, dim, seed)
    np.testing.assert_allclose(posteriors(words, gmm), slow_posteriors(words, gmm), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fisher_vector(words, gmm, improved=False), slow_fisher(words, gmm), rtol=0, atol=1e-9)


@given(SIZES)
def test_is_the_gradient_of_the_mean_log_likelihood(sizes):
    count, gaussians, dim, seed = sizes
    words, gmm = drawn_words(count, dim, seed), drawn_gmm(gaussians, dim, seed)
    weights = torch.tensor(gmm.weights)
    means = torch.tensor(gmm.means, requires_grad=True)
    sigmas = torch.tensor(np.sqrt(gmm.variances), requires_grad=True)
    mixture = MixtureSameFamily(Categorical(weights), Independent(Normal(means, sigmas), 1))
    mixture.log_prob(torch.tensor(words)).mean().backward()
    assert means.grad is not None
    assert sigmas.grad is not None
    root = weights.sqrt()[:, None]
    expected = torch.cat([(means.grad * sigmas / root).ravel(), (sigmas.grad * sigmas / (root * 2**0.5)).ravel()])
    np.testing.assert_allclose(fisher_vector(words, gmm, improved=False), expected.detach().numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("improved", [True, False])
def test_order_and_repetition_do_not_matter(improved):
    words, gmm = drawn_words(4, 5), drawn_gmm(3, 5)
    vector = fisher_vector(words, gmm, improved=improved)
    for same in (words[::-1], words[[2, 0, 3, 1]], np.concatenate([words, words]), words.repeat(3, axis=0)):
        np.testing.assert_allclose(fisher_vector(same, gmm, improved=improved), vector, rtol=0, atol=1e-14)


def test_another_share_of_a_word_does_matter():
    words, gmm = drawn_words(2, 5), drawn_gmm(3, 5)
    assert not np.allclose(fisher_vector(words[[0, 0, 1]], gmm), fisher_vector(words, gmm))


@given(SIZES)
def test_length_is_1_and_dimension_2kd(sizes):
    count, gaussians, dim, seed = sizes
    vector = fisher_vector(drawn_words(count, dim, seed), drawn_gmm(gaussians, dim, seed))
    assert vector.shape == (2 * gaussians * dim,)
    assert np.linalg.norm(vector) == pytest.approx(1, rel=1e-12)


def test_five_dimensions_and_three_gaussians_make_30():
    assert fisher_vector(drawn_words(2, 5), drawn_gmm(3, 5)).shape == (30,)


def test_improvement_is_root_then_length():
    words, gmm = drawn_words(3, 4), drawn_gmm(2, 4)
    roots = [math.copysign(math.sqrt(abs(z)), z) for z in fisher_vector(words, gmm, improved=False)]
    expected = np.array(roots) / math.sqrt(sum(root**2 for root in roots))
    np.testing.assert_allclose(fisher_vector(words, gmm), expected, rtol=1e-13)


def test_one_gaussian_makes_the_average_word_vector_a_special_case():
    words, gmm = drawn_words(4, 6), drawn_gmm(1, 6)
    expected = (average_word_vector(words) - gmm.means[0]) / np.sqrt(gmm.variances[0])
    np.testing.assert_allclose(fisher_vector(words, gmm, improved=False)[:6], expected, rtol=0, atol=1e-14)


def test_a_word_far_from_all_gaussians_still_has_posteriors():
    gmm = Gmm(np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.full((2, 1), 1e-4))
    np.testing.assert_allclose(posteriors(np.array([[1000.0], [0.5], [-1000.0]]), gmm), [[0, 1], [0.5, 0.5], [1, 0]])


def test_words_that_fit_perfectly_have_no_direction():
    gmm = Gmm(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)))
    perfect = np.array([[1.0], [-1.0]])
    assert fisher_vector(perfect, gmm, improved=False).tolist() == [0, 0]
    with pytest.raises(ValueError, match="zero"):
        fisher_vector(perfect, gmm)


def test_no_words_are_refused():
    with pytest.raises(ValueError, match="no words"):
        fisher_vector(np.zeros((0, 5)), drawn_gmm(2, 5))


def test_root_keeps_the_sign():
    assert signed_root(np.array([-4.0, 0, 9])).tolist() == [-2, 0, 3]
