"""The space in which words become Fisher vectors: a few dimensions, and a Gaussian mixture in them."""

import dataclasses
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.concepts.average import unit_rows
from attn.concepts.fisher import Gmm

RESTARTS = 10
MOST_STEPS = 100
LEAST_SPREAD = 1e-5  # of a dimension, against the widest; word vectors are float32
# Keeps a Gaussian from closing in on one word, which would make it infinitely likely.
LEAST_VARIANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class WordSpace:
    """Unit words → principal dimensions (`centre`, `axes`), and the mixture that was fitted there."""

    centre: Float[np.ndarray, "word_dim"]
    axes: Float[np.ndarray, "dim word_dim"]
    gmm: Gmm

    def project(self, words: Float[np.ndarray, "word word_dim"]) -> Float[np.ndarray, "word dim"]:
        """Words of any length but zero, as the mixture knows them."""
        return (unit_rows(words) - self.centre) @ self.axes.T


def fit_word_space(
    vocabulary: Float[np.ndarray, "word word_dim"], *, seed: int, dimensions: int = 50, gaussians: int = 2
) -> WordSpace:
    """PCA and a mixture of diagonal Gaussians, fitted to words brought to length 1.

    With no more words than dimensions, half as many dimensions as words and one Gaussian: in one dimension less than
    words, scaling by σ would put every word as far from every other as one-hot vectors are. Nor are there more
    dimensions than the words truly span. The same words in the same order and the same seed give the same space.

    Args:
        vocabulary: each word once; it decides which dimensions count.
        seed: where the Gaussians start.
        dimensions: at most, 1 or more.
        gaussians: at most, 1 or more.

    Raises:
        ValueError: the words do not differ, or are fewer than the Gaussians.

    Source: Jain et al. 2015. Differs: how many dimensions and Gaussians they used is not known.
    """
    words = unit_rows(vocabulary)
    many = len(words) > dimensions
    centre, axes = _principal(words, dimensions if many else len(words) // 2)
    if many and gaussians > len(words):
        raise ValueError(f"{len(words)} words are too few for {gaussians} Gaussians")
    gmm = _mixture((words - centre) @ axes.T, gaussians if many else 1, seed)
    return WordSpace(centre, axes, gmm)


def _principal(
    words: Float[np.ndarray, "word word_dim"], most: int
) -> tuple[Float[np.ndarray, "word_dim"], Float[np.ndarray, "dim word_dim"]]:
    if np.ptp(words, axis=0).max() < LEAST_SPREAD:
        raise ValueError(f"{len(words)} words whose vectors do not differ span no space")
    from sklearn.decomposition import PCA  # here, since it takes seconds to load and few trainings need it

    pca: Any = PCA(n_components=min(most, *words.shape), svd_solver="full").fit(words)
    spread = np.sqrt(pca.explained_variance_)
    return pca.mean_, pca.components_[spread > LEAST_SPREAD * spread[0]]


def _mixture(words: Float[np.ndarray, "word dim"], gaussians: int, seed: int) -> Gmm:
    """k-means++ alone starts it: whole k-means sums in threads, whose order would show in the last digits.

    A fit that is stopped before it has settled is a mixture too.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture: Any = GaussianMixture(
        gaussians,
        covariance_type="diag",
        init_params="k-means++",
        n_init=RESTARTS if gaussians > 1 else 1,
        max_iter=MOST_STEPS,
        reg_covar=LEAST_VARIANCE * words.var(axis=0).mean() if gaussians > 1 else 0,
        random_state=seed % 2**32,  # as far as scikit-learn counts
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        mixture.fit(words)
    return Gmm(mixture.weights_, mixture.means_, mixture.covariances_)
