"""Fisher vector of several words: how a Gaussian mixture would have to change to fit them better."""

import dataclasses

import numpy as np
from jaxtyping import Float

from attn.concepts.average import unit_rows


@dataclasses.dataclass(frozen=True)
class Gmm:
    """Gaussian mixture with diagonal covariances; `variances` are σ², above 0, and `weights` sum to 1."""

    weights: Float[np.ndarray, "gaussian"]
    means: Float[np.ndarray, "gaussian dim"]
    variances: Float[np.ndarray, "gaussian dim"]


def posteriors(words: Float[np.ndarray, "word dim"], gmm: Gmm) -> Float[np.ndarray, "word gaussian"]:
    """Posterior probability γ_t(k) of each Gaussian for each word; the values of a word sum to 1.

    They are computed from logarithms, so that a word far from all Gaussians has valid posteriors too.
    """
    distances = ((words[:, None] - gmm.means) ** 2 / gmm.variances).sum(axis=-1)
    logs = np.log(gmm.weights) - 0.5 * (distances + np.log(gmm.variances).sum(axis=-1))
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def fisher_vector(
    words: Float[np.ndarray, "word dim"], gmm: Gmm, *, improved: bool = True
) -> Float[np.ndarray, "fisher_dim"]:
    """Fisher vector of the words of a name (FWV): 2·K·D numbers, all means before all deviations.

    Within each half, the numbers are ordered by Gaussian. The vector describes not only the position of the words but
    also their spread. Neither the order of the words nor a repetition of all of them matters. The price is a mixture
    that must be fitted to some vocabulary. With one Gaussian, the first half is an affine map of the average word
    vector.

        G_μ,k = 1/(T √w_k)    Σ_t γ_t(k) (x_t − μ_k)/σ_k
        G_σ,k = 1/(T √(2w_k)) Σ_t γ_t(k) [(x_t − μ_k)²/σ_k² − 1]
        z     = [G_μ; G_σ];   z ← sign(z) √|z|;   z ← z/‖z‖₂       (the last two if `improved`)

    Before the last two steps, z is the gradient of the mean log-likelihood, ∂/∂μ · σ/√w and ∂/∂σ · σ/√(2w).

    Raises:
        ValueError: `words` is empty, or (if `improved`) fits the mixture so well that the gradient is zero.

    Source: Jain et al. 2015, "Fisher word vector"; root and length: Perronnin, Sánchez, Mensink 2010.
    """
    if len(words) == 0:
        raise ValueError("the Fisher vector of no words is undefined")
    shares = posteriors(words, gmm)[..., None]
    scaled = (words[:, None] - gmm.means) / np.sqrt(gmm.variances)
    weights = gmm.weights[:, None]
    means = (shares * scaled).mean(axis=0) / np.sqrt(weights)
    deviations = (shares * (scaled**2 - 1)).mean(axis=0) / np.sqrt(2 * weights)
    gradient = np.concatenate([means.ravel(), deviations.ravel()])
    return unit_rows(signed_root(gradient)[None])[0] if improved else gradient


def signed_root(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Signed square root, sign(z) √|z|: keeps a few large numbers of a Fisher vector from outweighing all others."""
    return np.sign(values) * np.sqrt(np.abs(values))
