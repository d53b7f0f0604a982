"""One vector for several words: their mean."""

import numpy as np
from jaxtyping import Float


def unit_rows(vectors: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """Every row divided by its length, in float64.

    Raises:
        ValueError: a row is zero, and has no direction.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"row {int(np.argmin(lengths))} is zero and cannot have length 1")
    return rows / lengths


def average_word_vector(words: Float[np.ndarray, "word dim"]) -> Float[np.ndarray, "dim"]:
    """Mean of the words of a name (AWV), not normalised: short where the words disagree.

    Needs no data but the words, and keeps their meaning in the plainest way; the price is that the words of a long
    name wash each other out.

        AWV = (1/T) Σ_t x_t

    Raises:
        ValueError: no words.

    Source: Jain et al. 2015, "average word vector".
    """
    if len(words) == 0:
        raise ValueError("no words have no average")
    return words.mean(axis=0)
