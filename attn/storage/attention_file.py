"""`attention.parquet`: attention weights of frames by models that attend, one row per model and frame."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from attn.schema import FRAME, TIME_S, VIDEO_ID, tensor_field
from attn.storage.location import Location
from attn.storage.store import VideoRows
from attn.storage.tensors import tensor_array

NAME = "attention.parquet"
WEIGHTS = "weights"
ROWS_AT_ONCE = 16384


class AttentionFile:
    """Open file, to which videos are added one at a time.

    Args:
        writer: writer of the file.
    """

    def __init__(self, writer: pq.ParquetWriter):
        self._writer, self._held = writer, list[pa.Table]()

    def add(self, method: str, rows: VideoRows, weights: Float[np.ndarray, "frame row col"]) -> None:
        """Add the frames of a video that a model has seen; other frames have NaN weights and are omitted."""
        seen, schema = np.isfinite(weights).all((1, 2)), self._writer.schema
        count = int(seen.sum())
        columns = [
            pa.array([method] * count, pa.string()),
            pa.array([rows.video_id] * count, pa.string()),
            pa.array(rows.frame[seen], pa.int32()),
            pa.array(rows.time_s[seen], pa.float32()),
            tensor_array(weights[seen].astype(np.float32), schema.field(WEIGHTS)),
        ]
        self._held.append(pa.table(columns, schema=schema))
        if sum(map(len, self._held)) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held as one row group."""
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
            self._held = []


@contextlib.contextmanager
def attention_file(folder: str, map_shape: tuple[int, int]) -> Iterator[AttentionFile]:
    """Yield a file to add videos to; it appears in the folder, local or s3://, only if the block succeeds.

        method, video_id, frame, time_s [s], weights [row, col], which add up to 1

    Args:
        folder: URL of the folder.
        map_shape: rows and columns of the weights.
    """
    rows, cols = map_shape
    schema = pa.schema(
        [
            pa.field("method", pa.string(), nullable=False),
            pa.field(VIDEO_ID, pa.string(), nullable=False),
            pa.field(FRAME, pa.int32(), nullable=False, metadata={"meaning": "index in the source"}),
            pa.field(TIME_S, pa.float32(), nullable=False, metadata={"unit": "s"}),
            tensor_field(WEIGHTS, pa.float32(), {"row": rows, "col": cols}),
        ]
    )
    path = Location.at(folder) / NAME
    with path.atomic_path() as local, pq.ParquetWriter(local, schema, compression="zstd") as writer:
        file = AttentionFile(writer)
        yield file
        file.flush()
