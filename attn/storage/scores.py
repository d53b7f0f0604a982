"""`scores.parquet`: scores of all videos by each method, the input of all later evaluation."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attn.errors import UsageError
from attn.schema import LABEL, VIDEO_ID, scores_field
from attn.storage.filesystem import open_filesystem, read_bytes, storage_errors
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array, tensor_values

NAME = "scores.parquet"


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of the same videos by one or more methods.

    Attributes:
        video_ids: IDs of the videos, sorted.
        labels: class IDs, int16 [video].
        by_method: method → scores, float64 [video, cls].
    """

    video_ids: list[str]
    labels: np.ndarray
    by_method: dict[str, np.ndarray]


def scores_parquet(scores: Scores, manifest: Manifest, class_names: Sequence[str] | None = None) -> bytes:
    """Content of the file, with one row per method and video.

    The metadata of its schema contains the class names and the store's fingerprint.

    Args:
        scores: scores of the videos.
        manifest: manifest of the store.
        class_names: classes of the scores. Default: the store's.
    """
    names = manifest.class_names if class_names is None else class_names
    field = scores_field(len(names))
    schema = pa.schema(
        [
            pa.field(VIDEO_ID, pa.string(), nullable=False),
            pa.field("method", pa.string(), nullable=False),
            pa.field(LABEL, pa.int16(), nullable=False, metadata={"meaning": "class id"}),
            field,
        ],
        metadata={
            "class_names": json.dumps(names, ensure_ascii=False),
            "fingerprint": manifest.fingerprint,
        },
    )
    ids, labels = pa.array(scores.video_ids), pa.array(scores.labels)
    tables = [
        pa.table([ids, pa.repeat(method, len(ids)), labels, tensor_array(values, field)], schema=schema)
        for method, values in scores.by_method.items()
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def read_scores(url: str) -> Scores:
    """Read a file with the content of `scores_parquet`.

    Raises:
        UsageError: the file is missing, or is not a file of scores.
    """
    with storage_errors(url):
        data = read_bytes(*open_filesystem(url))
    try:
        table = pq.read_table(pa.BufferReader(data))
        methods = table["method"].to_pylist()
        names = list(dict.fromkeys(methods))
        rows = {name: [i for i, method in enumerate(methods) if method == name] for name in names}
        first = table.take(rows[names[0]])
        values = tensor_values(table["scores"], table.schema.field("scores")).astype(np.float64)
        return Scores(
            first[VIDEO_ID].to_pylist(), first[LABEL].to_numpy(), {name: values[rows[name]] for name in names}
        )
    except (pa.ArrowException, KeyError, IndexError) as error:
        raise UsageError(f"{url}: not a file of evaluation scores ({error}). Evaluate again.") from error
