"""Attention stores with known rows, written without a CNN."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from attn.schema import FRAME, LABEL, REPEATED, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.ledger import Ledger
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array
from attn.storage.writer import LAST, POSITION, StoreWriter, travelling_schema

Tensors = Mapping[str, np.ndarray]


def write_store(
    url: str,
    manifest: Any,
    videos: Mapping[str, Tensors],
    *,
    labels: Mapping[str, int] | None = None,
    part_bytes: int = 1 << 30,
    finished: bool = True,
) -> str:
    """Write a store in the same way as precompute and return its URL.

    Args:
        url: URL of the store.
        manifest: manifest of the store.
        videos: video ID → column → array [frame, …].
        labels: video ID → class index; other videos have no label.
        part_bytes: size at which a part is closed.
        finished: whether to mark the store as complete.
    """
    ledger = Ledger.at(url, type(manifest))
    ledger.begin(manifest)
    writer = StoreWriter(url, manifest.schema, part_bytes=part_bytes)
    for video_id, tensors in videos.items():
        writer.add(_rows(manifest, video_id, (labels or {}).get(video_id), tensors))
    writer.flush()
    if finished:
        ledger.finish({})
    return url


def _rows(manifest: Any, video_id: str, label: int | None, tensors: Tensors) -> pa.RecordBatch:
    count = len(next(iter(tensors.values())))
    positions = np.arange(count, dtype=np.int32)
    known = {
        VIDEO_ID: [video_id] * count,
        FRAME: positions * 5,
        TIME_S: positions / np.float32(6),
        LABEL: [label] * count,
        POSITION: positions,
        LAST: positions == count - 1,
        TRUNCATED: np.zeros(count, bool),
        REPEATED: np.zeros(count, np.int16),
    }
    schema = travelling_schema(manifest.schema)
    arrays = [
        tensor_array(tensors[field.name], field)
        if field.name in tensors
        else pa.array(known[field.name], type=field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def new_manifest(**told: Any) -> Manifest:
    """Manifest of a store of three classes, with defaults for all other fields."""
    usual = {
        "class_names": ("Wave", "Kick", "Hug"),
        "backbone": "small_cnn",
        "weights_sha256": "0" * 64,
        "map_layer": "trunk",
        "alpha_reduce": "mean",
        "input_size": 32,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "preprocessing": "test",
        "sampling": {"stride": 5},
        "precision": "fp32",
        "columns": ("logits", "maps"),
        "num_channels": 4,
        "map_shape": (4, 4),
    }
    return Manifest(**{**usual, **told})


def plant(folder: Path) -> None:
    """Write `store`, `train.txt` and `test.txt` with maps from which an EnergyNet can learn the classes.

    The map of the true class is bright at a fixed location of that class. The maps of the other classes have as many
    cells of the same brightness at random locations, so only the location identifies the true class.
    """
    random = np.random.default_rng(0)
    manifest = new_manifest(class_names=("Hug", "Kick", "Wave"), columns=("features", "logits", "maps"))
    names = [f"v_{name}_g{group:02}_c01" for group in range(1, 13) for name in manifest.class_names]
    videos = {name: _planted_frames(random, i % 3, int(random.integers(3, 9))) for i, name in enumerate(names)}
    write_store(str(folder / "store"), manifest, videos, part_bytes=20_000)
    lines = [f"{name.split('_')[1]}/{name}.avi" for name in names]
    (folder / "train.txt").write_text("".join(f"{line} {i % 3 + 1}\n" for i, line in enumerate(lines[:24])))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in lines[24:]))


def _planted_frames(random: np.random.Generator, label: int, frames: int) -> dict[str, np.ndarray]:
    maps = np.zeros((frames, 3, 16), np.float16)
    for frame in maps:
        for c in range(3):
            cells = np.arange(4) + 4 * label if c == label else random.permutation(16)[:4]
            frame[c, cells] = random.uniform(0.5, 1.5, 4)
    features = random.normal(size=(frames, 4)) + 3 * np.eye(4)[label]
    logits = random.normal(size=(frames, 3))
    return {
        "maps": maps.reshape(frames, 3, 4, 4),
        "features": features.astype(np.float16),
        "logits": logits.astype(np.float32),
    }
