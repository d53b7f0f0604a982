"""Space of the Fisher vectors: a few principal dimensions of the words, and a Gaussian mixture in them."""

import dataclasses
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.concepts.average import unit_rows
from attn.concepts.fisher import Gmm

RESTARTS = 10
MOST_STEPS = 100
LEAST_SPREAD = 1e-5  # standard deviation of a dimension, relative to the widest; word vectors are float32
# Keeps a Gaussian from collapsing onto one word, which would make the likelihood infinite.
LEAST_VARIANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class WordSpace:
    """Projection of unit words to principal dimensions (`centre`, `axes`), and the mixture fitted there."""

    centre: Float[np.ndarray, "word_dim"]
    axes: Float[np.ndarray, "dim word_dim"]
    gmm: Gmm

    def project(self, words: Float[np.ndarray, "word word_dim"]) -> Float[np.ndarray, "word dim"]:
        """Project words of any nonzero length into the space of the mixture."""
        return (unit_rows(words) - self.centre) @ self.axes.T


def fit_word_space(
    vocabulary: Float[np.ndarray, "word word_dim"], *, seed: int, dimensions: int = 50, gaussians: int = 2
) -> WordSpace:
    """Fit PCA and a mixture of diagonal Gaussians to words normalised to length 1.

    A vocabulary of at most `dimensions` words gets half as many dimensions as words, and one Gaussian: with only one
    dimension fewer than words, scaling by σ would make all words equally distant, like one-hot vectors. The number of
    dimensions never exceeds the rank of the words. The result is deterministic: it depends only on the words, their
    order and the seed.

    Args:
        vocabulary: vectors of the words, each word once; they decide which dimensions count.
        seed: seed of the initial Gaussians.
        dimensions: maximum number of dimensions, 1 or more.
        gaussians: maximum number of Gaussians, 1 or more.

    Raises:
        ValueError: the words do not differ, or there are fewer words than Gaussians.

    Source: Jain et al. 2015.
    Differs: how many dimensions and Gaussians they used is not known.
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
        raise ValueError(f"no two different vectors among {len(words)} words")
    from sklearn.decomposition import PCA  # imported here, because it takes seconds and few trainings need it

    pca: Any = PCA(n_components=min(most, *words.shape), svd_solver="full").fit(words)
    spread = np.sqrt(pca.explained_variance_)
    return pca.mean_, pca.components_[spread > LEAST_SPREAD * spread[0]]


def _mixture(words: Float[np.ndarray, "word dim"], gaussians: int, seed: int) -> Gmm:
    """Fit a Gaussian mixture, initialised by k-means++ only.

    Full k-means adds numbers in several threads, and their order would change the last digits. A fit that stops before
    it converges is still a valid mixture.
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
        random_state=seed % 2**32,  # the range that scikit-learn accepts
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        mixture.fit(words)
    return Gmm(mixture.weights_, mixture.means_, mixture.covariances_)
