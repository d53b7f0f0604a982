import numpy as np
import pytest

from attn.concepts import mixture
from attn.concepts.average import unit_rows
from attn.concepts.fisher import posteriors
from attn.concepts.mixture import WordSpace, fit_word_space


def drawn(words: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(words, dim))


def numbers(space: WordSpace) -> list[np.ndarray]:
    return [space.centre, space.axes, space.gmm.weights, space.gmm.means, space.gmm.variances]


@pytest.mark.parametrize(
    ("words", "dim", "rank", "gaussians"),
    [
        (400, 300, 50, 2),
        (51, 300, 50, 2),
        (50, 300, 25, 1),
        (6, 300, 3, 1),
        (3, 300, 1, 1),
        (2, 300, 1, 1),
        (400, 25, 25, 2),
        (6, 2, 2, 1),
    ],
)
def test_shrinks_where_words_are_few(words, dim, rank, gaussians):
    space = fit_word_space(drawn(words, dim), seed=0)
    assert space.axes.shape == (rank, dim)
    assert space.gmm.means.shape == space.gmm.variances.shape == (gaussians, rank)
    assert space.gmm.weights.sum() == pytest.approx(1)
    assert (space.gmm.variances > 0).all()


def test_is_the_same_each_time_it_is_fitted():
    one, two = (fit_word_space(drawn(200, 60), seed=7) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(numbers(one), numbers(two), strict=True))


def test_the_seed_decides_where_gaussians_start():
    clouds = drawn(200, 60)
    assert any(
        not np.array_equal(fit_word_space(clouds, seed=0).gmm.means, fit_word_space(clouds, seed=seed).gmm.means)
        for seed in (1, 2, 3)
    )


@pytest.mark.parametrize("seed", [2**32, 2**40 + 7, -1])
def test_any_whole_number_is_a_seed(seed):
    assert len(fit_word_space(drawn(60, 20), seed=seed).gmm.weights) == 2


def test_a_fit_that_does_not_settle_raises_no_warning(monkeypatch):
    monkeypatch.setattr(mixture, "MOST_STEPS", 1)
    assert len(fit_word_space(drawn(60, 20), seed=0).gmm.weights) == 2


def test_finds_two_clouds():
    one, two = drawn(2, 40, seed=9)
    words = np.concatenate([one + 0.1 * drawn(60, 40), two + 0.1 * drawn(40, 40, seed=1)])
    space = fit_word_space(words, seed=0)
    shares = posteriors(space.project(words), space.gmm)
    assert (shares[:60].argmax(1) == shares[0].argmax()).all()
    assert (shares[60:].argmax(1) != shares[0].argmax()).all()
    assert sorted(space.gmm.weights) == pytest.approx([0.4, 0.6], abs=1e-6)


def test_dimensions_are_principal():
    words = unit_rows(drawn(80, 60))
    space = fit_word_space(words, seed=0)
    values, vectors = np.linalg.eigh(np.cov(words.T))
    strongest = vectors[:, np.argsort(values)[::-1][:50]].T
    np.testing.assert_allclose(space.centre, words.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(np.abs((space.axes * strongest).sum(axis=1)), 1, atol=1e-9)


def test_one_gaussian_has_the_moments_of_the_words():
    words = drawn(20, 30)
    space = fit_word_space(words, seed=0)
    placed = space.project(words)
    np.testing.assert_allclose(space.gmm.means[0], placed.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(space.gmm.variances[0], placed.var(axis=0), rtol=1e-9)


def test_the_length_of_a_word_does_not_matter():
    words, lengths = drawn(60, 20), np.random.default_rng(3).uniform(0.1, 10, (60, 1))
    one, two = fit_word_space(words, seed=0), fit_word_space(words * lengths, seed=0)
    np.testing.assert_allclose(one.project(words), two.project(words * lengths), atol=1e-10)


def test_words_of_a_plane_span_no_more():
    space = fit_word_space(drawn(60, 3) @ drawn(3, 40), seed=0)
    assert len(space.axes) == 3


def test_few_equal_words_among_many_are_no_harm():
    words = drawn(3, 40).repeat(30, axis=0)
    space = fit_word_space(words, seed=0)
    assert len(space.axes) == 2
    assert np.isfinite(space.gmm.variances).all()


def test_one_word_still_has_a_place_of_its_own():
    """With one dimension less than words all distances would be equal, as between one-hot vectors."""
    words = drawn(8, 40)
    words[1] = words[0] + 0.1 * words[1]
    space = fit_word_space(words, seed=0)
    placed = space.project(words) / np.sqrt(space.gmm.variances[0])
    distances = np.linalg.norm(placed[0] - placed[1:], axis=1)
    assert distances[0] < 0.5 * distances[1:].min()


@pytest.mark.parametrize("words", [np.ones((1, 5)), np.ones((4, 5)), np.ones((70, 5)), np.outer([1, 2, 3], np.ones(5))])
def test_words_that_do_not_differ_are_refused(words):
    with pytest.raises(ValueError, match=f"no two different vectors among {len(words)} words"):
        fit_word_space(words, seed=0)
