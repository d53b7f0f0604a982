"""Decoded frames, and what was computed of them, as rows for a writer. Without torch, which no decode task loads."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from attn.schema import LABEL
from attn.stages.decode import NO_LABEL
from attn.storage.tensors import tensor_array


def record_batch(
    frames: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray], schema: pa.Schema
) -> pa.RecordBatch:
    """Rows ready to travel to a writer.

    Args:
        frames: columns of `attn.stages.decode`.
        tensors: columns of `ComputeMaps`, or the images of `frames` themselves.
        schema: `attn.storage.writer.travelling_schema` of the store.

    Raises:
        FloatingPointError: a tensor holds NaN or infinity; the message names column, video and frame.
    """
    arrays = []
    for field in schema:
        if field.name in tensors:
            values = tensors[field.name]
            check_finite(values, field.name, frames)
            arrays.append(tensor_array(values, field))
        else:
            values = frames[field.name]
            mask = values == NO_LABEL if field.name == LABEL else None
            arrays.append(pa.array(values, type=field.type, mask=mask))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def check_finite(values: np.ndarray, name: str, frames: Mapping[str, np.ndarray]) -> None:
    """Refuses NaN and infinity in what was computed of frames.

    Args:
        values: [frame, …].
        name: name of the column.
        frames: columns of `attn.stages.decode`.

    Raises:
        FloatingPointError: names column, video and frame.
    """
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        where = f"{frames['video_id'][row]}, frame {frames['frame'][row]}"
        raise FloatingPointError(
            f"{name} of {where} is not finite; the trunk may overflow in this --precision, or the weights are damaged"
        )
