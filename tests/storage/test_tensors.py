"""Tensors come back as they went in, from slices and chunks too."""

import numpy as np
import pyarrow as pa
import pytest

from attn.schema import tensor_field
from attn.storage.tensors import tensor_array, tensor_shape, tensor_values

FIELD = tensor_field("maps", pa.float16(), {"cls": 2, "row": 3, "col": 4})


def test_round_trip_of_slices_and_chunks() -> None:
    values = np.random.default_rng(0).normal(size=(10, 2, 3, 4)).astype(np.float16)
    column = tensor_array(values, FIELD)
    np.testing.assert_array_equal(tensor_values(column, FIELD), values)
    np.testing.assert_array_equal(tensor_values(column.slice(3, 4), FIELD), values[3:7])
    chunked = pa.chunked_array([column.slice(8, 2), column.slice(0, 1)])
    np.testing.assert_array_equal(tensor_values(chunked, FIELD), values[[8, 9, 0]])


def test_transposed_input_is_stored_in_order() -> None:
    values = np.arange(48, dtype=np.float16).reshape(4, 3, 2, 2).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(tensor_values(tensor_array(values, FIELD), FIELD), values)


def test_shape_is_checked() -> None:
    assert tensor_shape(FIELD) == (2, 3, 4)
    with pytest.raises(ValueError, match="maps"):
        tensor_array(np.zeros((5, 2, 4, 3), np.float16), FIELD)
