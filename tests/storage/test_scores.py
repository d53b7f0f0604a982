"""Score files are read by whatever reads Parquet."""

import io
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from attn.errors import UsageError
from attn.storage.manifest import Manifest
from attn.storage.scores import Scores, read_scores, scores_parquet

SCORES = Scores(
    video_ids=["a b", "ü"],
    positives=np.array([[0, 0, 1], [1, 0, 0]], bool),
    by_method={
        "cnn": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "unatt": np.array([[0, 0.5, 0.25], [-1, 1e-9, 1e9]], np.float32),
    },
)


def test_every_reader_sees_every_score(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "scores.parquet"
    path.write_bytes(scores_parquet(SCORES, manifest))
    by_pandas = [tuple(row) for row in pd.read_parquet(path).itertuples(index=False)]
    by_polars = pl.read_parquet(path).rows()
    by_duckdb = duckdb.read_parquet(str(path)).fetchall()
    expected = [
        (video_id, method, label, manifest.class_names[label], list(scores[i]))
        for method, scores in SCORES.by_method.items()
        for i, (video_id, label) in enumerate(zip(SCORES.video_ids, SCORES.labels, strict=True))
    ]
    for rows in (by_pandas, by_polars, by_duckdb):
        assert [(*row[:4], list(row[4])) for row in rows] == expected


def test_schema_says_what_the_numbers_are(manifest: Manifest) -> None:
    schema = pq.read_schema(io.BytesIO(scores_parquet(SCORES, manifest)))
    assert json.loads(schema.metadata[b"class_names"]) == list(manifest.class_names)
    assert schema.metadata[b"fingerprint"].decode() == manifest.fingerprint
    assert schema.field("scores").metadata[b"axes"] == b"cls"


def test_scores_of_another_number_of_classes_are_an_error(manifest: Manifest) -> None:
    wrong = Scores(["a"], np.eye(3, dtype=bool)[:1], {"cnn": np.zeros((1, 4), np.float32)})
    with pytest.raises(ValueError, match="scores"):
        scores_parquet(wrong, manifest)


def test_what_was_written_is_read_back(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "scores.parquet"
    path.write_bytes(scores_parquet(SCORES, manifest))
    found = read_scores(str(path))
    assert found.video_ids == SCORES.video_ids
    np.testing.assert_array_equal(found.positives, SCORES.positives)
    assert list(found.by_method) == list(SCORES.by_method)
    for name, values in SCORES.by_method.items():
        np.testing.assert_allclose(found.by_method[name], values, rtol=1e-6)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet"])
def test_what_is_no_score_file_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "scores.parquet"
    path.write_bytes(damage)
    with pytest.raises(UsageError, match="not a file of evaluation scores"):
        read_scores(str(path))


def test_videos_of_several_classes_or_none_have_a_list(tmp_path: Path, manifest: Manifest) -> None:
    positives = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    several = Scores(["a", "b", "c"], positives, {"cnn": np.eye(3), "unatt": -np.eye(3)})
    path = tmp_path / "scores.parquet"
    path.write_bytes(scores_parquet(several, manifest))
    frame = pl.read_parquet(path)
    assert frame.columns == ["video_id", "method", "labels", "label_names", "scores"]
    assert frame["labels"].to_list() == [[0, 2], [], [1]] * 2
    names = manifest.class_names
    assert frame["label_names"].to_list() == [[names[0], names[2]], [], [names[1]]] * 2
    found = read_scores(str(path))
    np.testing.assert_array_equal(found.positives, positives)
    assert found.labels is None


def test_the_file_of_one_class_each_keeps_the_columns_from_before(manifest: Manifest) -> None:
    schema = pq.read_schema(io.BytesIO(scores_parquet(SCORES, manifest)))
    assert [str(field.type) for field in schema][:3] == ["string", "string", "int16"]
    assert schema.names == ["video_id", "method", "label", "label_name", "scores"]
