import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.concepts.average import average_word_vector, unit_rows


def drawn(words: int, dim: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(words, dim))


@given(st.integers(1, 6), st.integers(1, 9))
def test_equals_slow_loops(count, dim):
    words = drawn(count, dim)
    expected = [sum(word[i] for word in words.tolist()) / count for i in range(dim)]
    np.testing.assert_allclose(average_word_vector(words), expected, rtol=0, atol=1e-15)


def test_order_and_repetition_do_not_matter():
    words = drawn(4)
    np.testing.assert_allclose(average_word_vector(words[::-1]), average_word_vector(words), rtol=0, atol=1e-15)
    np.testing.assert_allclose(average_word_vector(words.repeat(3, 0)), average_word_vector(words), rtol=0, atol=1e-15)


def test_one_word_is_its_own_average():
    assert average_word_vector(drawn(1)).tolist() == drawn(1)[0].tolist()


def test_no_words_are_refused():
    with pytest.raises(ValueError, match="no words"):
        average_word_vector(np.zeros((0, 5)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_have_length_1_in_float64(dtype):
    rows = (drawn(50) * 100).astype(dtype)
    units, rows = unit_rows(rows), rows.astype(np.float64)
    assert units.dtype == np.float64
    np.testing.assert_allclose((units**2).sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(units * np.sqrt((rows**2).sum(axis=1))[:, None], rows, rtol=1e-12)


def test_row_without_direction_is_named():
    with pytest.raises(ValueError, match="row 1 is zero"):
        unit_rows(np.array([[1.0, 0], [0, 0], [3, 4]]))
