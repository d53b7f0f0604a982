"""Conversion between NumPy arrays and fixed-size list columns, without copies if Arrow allows it."""

import json

import numpy as np
import pyarrow as pa


def tensor_shape(field: pa.Field) -> tuple[int, ...]:
    """Shape of one row's tensor, from the field's metadata."""
    return tuple(json.loads(field.metadata[b"shape"]))


def tensor_array(values: np.ndarray, field: pa.Field) -> pa.FixedSizeListArray:
    """Column for a field made by `attn.schema.tensor_field`, from an array [rows, *shape]."""
    expected = tensor_shape(field)
    if values.shape[1:] != expected:
        raise ValueError(f"column {field.name}: rows have shape {values.shape[1:]}, but the schema requires {expected}")
    flat = np.ascontiguousarray(values).reshape(-1).astype(field.type.value_type.to_pandas_dtype(), copy=False)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field.type)


def tensor_values(column: pa.ChunkedArray | pa.Array, field: pa.Field) -> np.ndarray:
    """Array [rows, *shape] of a tensor column.

    Uses `flatten`, never `.values`, because the latter ignores slices.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # columns above 2 GiB stay chunked
        return np.concatenate([tensor_values(chunk, field) for chunk in array.chunks])
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), *tensor_shape(field))
