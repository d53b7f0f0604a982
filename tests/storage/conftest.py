"""A small store's manifest, and rows whose every number tells where it belongs."""

import contextlib
import itertools
import resource
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from attn.schema import FEATURES, FRAME, LABEL, LOGITS, MAPS, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array
from attn.storage.writer import LAST, POSITION, travelling_schema

CLASSES = ("Wave", "Kick", "Hug")


@pytest.fixture
def manifest(new_manifest: Callable[..., Manifest]) -> Manifest:
    return new_manifest(class_names=CLASSES, columns=("features", LOGITS, MAPS), map_shape=(2, 3))


def tensors(video_id: str, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Values that follow from video and position alone, exact in fp16."""
    seed = zlib.crc32(video_id.encode()) % 7
    start = (positions[:, None] + seed).astype(np.float32)
    return {
        LOGITS: start + np.arange(3, dtype=np.float32) / 4,
        MAPS: (start[:, :, None, None] + np.arange(18).reshape(1, 3, 2, 3) / 32).astype(np.float16),
        FEATURES: (start + np.arange(4) / 8).astype(np.float16),
    }


@pytest.fixture
def rows_of(manifest: Manifest) -> Callable[..., pa.RecordBatch]:
    """rows_of(video_id, n_frames, start, stop): rows on their way to a writer."""
    schema = travelling_schema(manifest.schema)

    def make(video_id: str, n_frames: int, start: int = 0, stop: int | None = None, **changes: Any) -> pa.RecordBatch:
        positions = np.arange(start, n_frames if stop is None else stop, dtype=np.int32)
        last = positions == n_frames - 1
        known = {
            VIDEO_ID: [video_id] * len(positions),
            FRAME: positions * 5,
            TIME_S: positions / np.float32(6),
            LABEL: [changes.get("label", 1)] * len(positions),
            POSITION: positions,
            LAST: last,
            TRUNCATED: last & changes.get("truncated", False),
        }
        values = tensors(video_id, positions)
        arrays = [
            tensor_array(values[field.name], field)
            if field.name in values
            else pa.array(known[field.name], type=field.type)
            for field in schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    return make


@pytest.fixture
def expected() -> Callable[[str, int], dict[str, np.ndarray]]:
    """The tensors a complete video must have."""
    return lambda video_id, n_frames: tensors(video_id, np.arange(n_frames))


@pytest.fixture
def shuffled_chunks(rows_of: Callable[..., pa.RecordBatch]) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Rows of many videos, cut anywhere, in any order, some of them twice."""

    def make(lengths: dict[str, int], seed: int) -> Iterator[pa.RecordBatch]:
        rng = np.random.default_rng(seed)
        chunks = []
        for video_id, n_frames in lengths.items():
            cuts = sorted({0, n_frames, *rng.integers(1, max(n_frames, 2), size=3).tolist()} - {n_frames + 1})
            cuts = [cut for cut in cuts if cut <= n_frames]
            chunks += [rows_of(video_id, n_frames, start, stop) for start, stop in itertools.pairwise(cuts)]
        again = [chunks[i] for i in rng.integers(0, len(chunks), size=len(chunks) // 2)]
        everything = chunks + again
        for i in rng.permutation(len(everything)):
            yield everything[i]

    return make


@pytest.fixture
def full_disk() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """full_disk(room_bytes): no file of this process can grow beyond that; writing more fails as on a full disk."""

    @contextlib.contextmanager
    def limited(room_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
