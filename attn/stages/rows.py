"""Conversion of decoded frames and computed tensors to rows for a writer.

This module does not import torch, because decode tasks do not need it.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from attn.schema import IMAGE, LABEL
from attn.stages.decode_videos import NO_LABEL
from attn.storage.tensors import tensor_array

Tensors = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Function from the pixels of a batch to the tensor columns of its rows."""


def pixels(images: np.ndarray) -> dict[str, np.ndarray]:
    """Tensor columns of a frame store: the images themselves."""
    return {IMAGE: images}


def record_batch(
    frames: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray], schema: pa.Schema
) -> pa.RecordBatch:
    """Rows to send to a writer.

    Args:
        frames: columns from `attn.stages.decode_videos`.
        tensors: tensor columns, such as those of `ComputeMaps`.
        schema: schema of the rows, see `attn.storage.writer.travelling_schema`.

    Raises:
        FloatingPointError: a tensor contains NaN or infinity; the message names column, video and frame.
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
    """Check that all values computed from frames are finite.

    Args:
        values: [frame, …].
        name: name of the column.
        frames: columns from `attn.stages.decode_videos`.

    Raises:
        FloatingPointError: a value is NaN or infinite; the message names column, video and frame.
    """
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        where = f"{frames['video_id'][row]}, frame {frames['frame'][row]}"
        raise FloatingPointError(
            f"{where}: column {name} contains NaN or infinity. The trunk may overflow in this --precision, or the "
            "weights may be damaged. Try --precision fp32."
        )
