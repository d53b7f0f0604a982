"""Small real stores, written as precompute writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from attn.schema import FEATURES, LOGITS, MAPS
from attn.storage.manifest import Manifest


@pytest.fixture
def manifest(new_manifest: Callable[..., Manifest]) -> Manifest:
    return new_manifest(columns=(FEATURES, LOGITS, MAPS), map_shape=(2, 3))


@pytest.fixture
def make_store(tmp_path: Path, manifest: Manifest, write_store: Callable[..., str]) -> Callable[..., str]:
    """make_store({video_id: frames}, maps={video_id: array}, features=…, part_bytes=…): random where not given."""

    def make(
        videos: Mapping[str, int],
        *,
        maps: Mapping[str, np.ndarray] | None = None,
        features: Mapping[str, np.ndarray] | None = None,
        part_bytes: int = 1 << 30,
    ) -> str:
        rng, rows = np.random.default_rng(0), {}
        for video_id, count in videos.items():
            tensors = {
                MAPS: rng.random((count, 3, 2, 3)).astype(np.float16),
                FEATURES: rng.normal(size=(count, 4)).astype(np.float16),
                LOGITS: rng.normal(size=(count, 3)).astype(np.float32),
            }
            given = {MAPS: (maps or {}).get(video_id), FEATURES: (features or {}).get(video_id)}
            rows[video_id] = tensors | {name: values for name, values in given.items() if values is not None}
        return write_store(str(tmp_path / "store"), manifest, rows, part_bytes=part_bytes)

    return make
