"""Output formats of predictions: text lines, JSON Lines, CSV and Parquet."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attn.engine.terminal import printable
from attn.schema import VIDEO_ID

SCORE = "score_"
"""Prefix of the column names of class scores."""

WIDEST = 40
"""Maximum width to which names are padded in a line; longer names are not truncated."""

COLUMNS = {
    VIDEO_ID: pa.string(),
    "url": pa.string(),
    "class": pa.string(),
    "score": pa.float64(),
    "runner_up": pa.string(),
    "runner_up_score": pa.float64(),
    "frames": pa.int32(),
    "error": pa.string(),
}


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Scores of one video, or the reason why it has none.

    Attributes:
        url: URL of its file, or of the tar shard that contains it.
        frames: number of scored frames.
        scores: scores [cls] in the order of the class names; None if the video cannot be read.
        error: reason as one line; empty if the video was read.
    """

    video_id: str
    url: str
    frames: int = 0
    scores: np.ndarray | None = None
    error: str = ""

    def row(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Values of `COLUMNS`; unknown values are None."""
        best, second = self._best(class_names)
        names, scores = zip(best, second, strict=True)
        values = (self.video_id, self.url, names[0], scores[0], names[1], scores[1], self.frames, self.error or None)
        return dict(zip(COLUMNS, values, strict=True))

    def _best(self, class_names: Sequence[str]) -> list[tuple[str | None, float | None]]:
        """The two classes with the largest scores."""
        if self.scores is None:
            return [(None, None)] * 2
        best = ranking(self.scores)[:2]
        found: list[tuple[str | None, float | None]] = [(class_names[c], float(self.scores[c])) for c in best]
        return found + [(None, None)] * (2 - len(found))


def ranking(scores: np.ndarray) -> list[int]:
    """Classes from the largest score to the smallest. Ties go to the first class, as in `evaluate`."""
    return np.argsort(-scores, kind="stable").tolist()


def text_line(prediction: Prediction, class_names: Sequence[str], width: int) -> str:
    """Line with video, class, score, runner-up, its score and the number of frames; or with video and error.

    Args:
        width: length of the longest video ID.
    """
    row, widest = prediction.row(class_names), min(max(map(len, class_names)), WIDEST)
    name = f"{printable(prediction.video_id):<{min(width, WIDEST)}}"
    if prediction.scores is None:
        return f"{name}  error: {printable(prediction.error)}"
    pairs = [(row["class"], row["score"]), (row["runner_up"], row["runner_up_score"])]
    columns = [f"{printable(one):<{widest}} {score:>10.4g}" for one, score in pairs if one is not None]
    return "  ".join([name, *columns, f"{prediction.frames:>5} frames"])


def json_line(prediction: Prediction, class_names: Sequence[str]) -> str:
    """JSON object with `COLUMNS` and `scores`, which maps class names to scores. ASCII only, for any terminal."""
    scores = None if prediction.scores is None else dict(zip(class_names, prediction.scores.tolist(), strict=True))
    return json.dumps({**prediction.row(class_names), "scores": scores})


def csv_table(predictions: Sequence[Prediction], class_names: Sequence[str]) -> bytes:
    """CSV file with a header, a line per video and a column `score_<class>` per class. Unknown values are empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, [*COLUMNS, *_score_columns(class_names)], lineterminator="\n")
    table.writeheader()
    table.writerows(_flat_row(one, class_names) for one in predictions)
    return text.getvalue().encode()


def parquet_table(predictions: Sequence[Prediction], class_names: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    """Parquet file with the columns of `csv_table` and their types.

    Args:
        metadata: metadata of the schema.
    """
    fields = {**COLUMNS, **dict.fromkeys(_score_columns(class_names), pa.float64())}
    schema = pa.schema(list(fields.items()), metadata=dict(metadata))
    sink = pa.BufferOutputStream()
    rows = [_flat_row(one, class_names) for one in predictions]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _flat_row(prediction: Prediction, class_names: Sequence[str]) -> dict[str, Any]:
    values = [None] * len(class_names) if prediction.scores is None else prediction.scores.tolist()
    return {**prediction.row(class_names), **dict(zip(_score_columns(class_names), values, strict=True))}


def _score_columns(class_names: Sequence[str]) -> list[str]:
    return [f"{SCORE}{name}" for name in class_names]
