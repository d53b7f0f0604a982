"""Small real stores, written as precompute writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from attn.schema import FEATURES, FRAME, LABEL, LOGITS, MAPS, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.ledger import Ledger
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array
from attn.storage.writer import LAST, POSITION, StoreWriter, travelling_schema

STRIDE = 5


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        class_names=("Wave", "Kick", "Hug"),
        backbone="small_cnn",
        weights_sha256="0" * 64,
        map_layer="trunk",
        alpha_reduce="mean",
        input_size=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        preprocessing="test",
        sampling={"stride": STRIDE},
        precision="fp32",
        columns=(FEATURES, LOGITS, MAPS),
        num_channels=4,
        map_shape=(2, 3),
    )


@pytest.fixture
def make_store(tmp_path: Path, manifest: Manifest) -> Callable[..., str]:
    """make_store({video_id: frames}, maps={video_id: array}, features=…, part_bytes=…): random where not given."""

    def make(
        videos: Mapping[str, int],
        *,
        maps: Mapping[str, np.ndarray] | None = None,
        features: Mapping[str, np.ndarray] | None = None,
        part_bytes: int = 1 << 30,
    ) -> str:
        url = str(tmp_path / "store")
        ledger = Ledger.at(url)
        ledger.begin(manifest)
        writer = StoreWriter(url, manifest.schema, part_bytes=part_bytes)
        rng = np.random.default_rng(0)
        for video_id, count in videos.items():
            tensors = {
                MAPS: rng.random((count, 3, 2, 3)).astype(np.float16),
                FEATURES: rng.normal(size=(count, 4)).astype(np.float16),
                LOGITS: rng.normal(size=(count, 3)).astype(np.float32),
            }
            given = {MAPS: (maps or {}).get(video_id), FEATURES: (features or {}).get(video_id)}
            tensors |= {name: values for name, values in given.items() if values is not None}
            writer.add(_rows(manifest, video_id, tensors))
        writer.flush()
        ledger.finish({})
        return url

    return make


def _rows(manifest: Manifest, video_id: str, tensors: dict[str, np.ndarray]) -> pa.RecordBatch:
    count = len(tensors[MAPS])
    positions = np.arange(count, dtype=np.int32)
    known = {
        VIDEO_ID: [video_id] * count,
        FRAME: positions * STRIDE,
        TIME_S: positions / np.float32(6),
        LABEL: [None] * count,
        POSITION: positions,
        LAST: positions == count - 1,
        TRUNCATED: np.zeros(count, bool),
    }
    schema = travelling_schema(manifest.schema)
    arrays = [
        tensor_array(tensors[field.name], field)
        if field.name in tensors
        else pa.array(known[field.name], type=field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
