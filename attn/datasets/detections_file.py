"""`detections.parquet`: temporal detections, one row each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attn.datasets.segments import Detection
from attn.schema import LABEL, VIDEO_ID

NAME = "detections.parquet"

SCHEMA = pa.schema(
    [
        pa.field(VIDEO_ID, pa.string(), nullable=False),
        pa.field(LABEL, pa.string(), nullable=False, metadata={"meaning": "class name"}),
        pa.field("start_s", pa.float64(), nullable=False, metadata={"unit": "s"}),
        pa.field("end_s", pa.float64(), nullable=False, metadata={"unit": "s"}),
        pa.field("score", pa.float64(), nullable=False),
    ]
)


def detections_parquet(detections: Sequence[Detection], about: Mapping[str, Any]) -> bytes:
    """Content of the file of detections.

    Args:
        detections: detections in any order.
        about: models, stores and settings behind them, in JSON types; metadata `made_by` of the schema.
    """
    schema = SCHEMA.with_metadata({"made_by": json.dumps(about, ensure_ascii=False)})
    columns = list(zip(*detections, strict=True)) or [()] * len(SCHEMA)
    table = pa.table(
        [pa.array(list(one), field.type) for one, field in zip(columns, SCHEMA, strict=True)], schema=schema
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
