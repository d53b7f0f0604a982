"""`scores.parquet`: scores of all videos by each method, the input of all later evaluation."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int

from attn.classes import class_mask, single_labels
from attn.errors import UsageError
from attn.schema import LABEL, VIDEO_ID, scores_field
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array, tensor_values

NAME = "scores.parquet"
LABELS = "labels"
LABEL_NAME, LABEL_NAMES = "label_name", "label_names"


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of the same videos by one or more methods.

    Attributes:
        video_ids: IDs of the videos, sorted.
        positives: mask of the classes of each video.
        by_method: method → scores, float64 [video, cls].
    """

    video_ids: list[str]
    positives: Bool[np.ndarray, "video cls"]
    by_method: dict[str, np.ndarray]

    @property
    def labels(self) -> Int[np.ndarray, "video"] | None:
        """Class IDs; None unless each video has exactly one class."""
        return single_labels(self.positives)


def scores_parquet(scores: Scores, manifest: Manifest, class_names: Sequence[str] | None = None) -> bytes:
    """Content of the file, with one row per method and video.

    The columns `label` and `label_name` have the class of a video. Unless each video has exactly one class, lists in
    `labels` and `label_names` are in their place. The metadata of the schema contains the class names and the store's
    fingerprint.

    Args:
        scores: scores of the videos.
        manifest: manifest of the store.
        class_names: classes of the scores. Default: the store's.
    """
    names = manifest.class_names if class_names is None else class_names
    field, labels = scores_field(len(names)), scores.labels
    truth = (
        pa.field(LABEL, pa.int16(), nullable=False, metadata={"meaning": "class id"})
        if labels is not None
        else pa.field(LABELS, pa.list_(pa.int16()), nullable=False, metadata={"meaning": "class ids, empty if none"})
    )
    classes = labels if labels is not None else [np.flatnonzero(row) for row in scores.positives]
    named = [names[int(c)] for c in labels] if labels is not None else [[names[int(c)] for c in one] for one in classes]
    of_names = (
        pa.field(LABEL_NAME, pa.string(), nullable=False)
        if labels is not None
        else pa.field(LABEL_NAMES, pa.list_(pa.string()), nullable=False)
    )
    schema = pa.schema(
        [
            pa.field(VIDEO_ID, pa.string(), nullable=False),
            pa.field("method", pa.string(), nullable=False),
            truth,
            of_names,
            field,
        ],
        metadata={
            "class_names": json.dumps(names, ensure_ascii=False),
            "fingerprint": manifest.fingerprint,
        },
    )
    ids, truths = pa.array(scores.video_ids), [pa.array(classes, truth.type), pa.array(named, of_names.type)]
    tables = [
        pa.table([ids, pa.repeat(method, len(ids)), *truths, tensor_array(values, field)], schema=schema)
        for method, values in scores.by_method.items()
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def read_class_names(url: str) -> tuple[str, ...]:
    """Classes of the scores in a file, in the order of their columns.

    Raises:
        UsageError: the file is missing, or is not a file of scores.
    """
    with storage_errors(url):
        data = Location.at(url).read_bytes()
    try:
        return tuple(json.loads(pq.read_schema(pa.BufferReader(data)).metadata[b"class_names"]))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{url}: not a file of evaluation scores ({error}). Evaluate again.") from error


def read_scores(url: str) -> Scores:
    """Read a file with the content of `scores_parquet`.

    Raises:
        UsageError: the file is missing, or is not a file of scores.
    """
    with storage_errors(url):
        data = Location.at(url).read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(data))
        methods = table["method"].to_pylist()
        names = list(dict.fromkeys(methods))
        rows = {name: [i for i, method in enumerate(methods) if method == name] for name in names}
        first = table.take(rows[names[0]])
        values = tensor_values(table["scores"], table.schema.field("scores")).astype(np.float64)
        single = LABEL in first.column_names
        classes = [[one] for one in first[LABEL].to_pylist()] if single else first[LABELS].to_pylist()
        positives = class_mask(classes, values.shape[1])
        return Scores(first[VIDEO_ID].to_pylist(), positives, {name: values[rows[name]] for name in names})
    except (pa.ArrowException, KeyError, IndexError) as error:
        raise UsageError(f"{url}: not a file of evaluation scores ({error}). Evaluate again.") from error
