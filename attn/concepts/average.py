"""Average word vector: the mean of several words as one vector."""

import numpy as np
from jaxtyping import Float


def unit_rows(vectors: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """Divide each row by its length, in float64.

    Raises:
        ValueError: a row is zero and has no direction.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"row {int(np.argmin(lengths))} is zero and cannot be normalised")
    return rows / lengths


def average_word_vector(words: Float[np.ndarray, "word dim"]) -> Float[np.ndarray, "dim"]:
    """Mean of the word vectors of a name (AWV), not normalised: short if the words disagree.

    It needs no data except the words and preserves their meaning in the simplest way; the price is that the words of a
    long name blur each other.

        AWV = (1/T) Σ_t x_t

    Raises:
        ValueError: `words` is empty.

    Source: Jain et al. 2015, "average word vector".
    """
    if len(words) == 0:
        raise ValueError("the average of no words is undefined")
    return words.mean(axis=0)
