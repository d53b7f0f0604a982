"""Frames with maps or pixels become rows, and nothing infinite gets through."""

import numpy as np
import pytest

from attn.schema import FRAME, IMAGE, LABEL, TIME_S, TRUNCATED, VIDEO_ID, attention_schema, frames_schema
from attn.stages.rows import record_batch
from attn.storage.tensors import tensor_values
from attn.storage.writer import LAST, POSITION, travelling_schema


@pytest.fixture
def frames() -> dict[str, np.ndarray]:
    return {
        VIDEO_ID: np.array(["a", "a", "b", "b", "b"], object),
        FRAME: np.arange(5, dtype=np.int32) * 5,
        TIME_S: np.arange(5, dtype=np.float32),
        LABEL: np.array([1, 1, -1, -1, -1], np.int16),
        POSITION: np.array([0, 1, 0, 1, 2], np.int32),
        LAST: np.array([0, 1, 0, 0, 1], bool),
        TRUNCATED: np.zeros(5, bool),
        IMAGE: np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8),
    }


def test_rows_ready_to_travel(frames: dict[str, np.ndarray]) -> None:
    schema = attention_schema(("maps", "logits"), num_classes=3, num_channels=8, map_shape=(4, 4))
    random = np.random.default_rng(0)
    tensors = {
        "maps": random.random((5, 3, 4, 4)).astype(np.float16),
        "logits": random.random((5, 3)).astype(np.float32),
    }
    rows = record_batch(frames, tensors, travelling_schema(schema))
    assert rows[LABEL].to_pylist() == [1, 1, None, None, None]
    assert rows[LAST].to_pylist() == [False, True, False, False, True]
    for name, values in tensors.items():
        np.testing.assert_array_equal(tensor_values(rows[name], schema.field(name)), values)


def test_pixels_travel_as_they_are(frames: dict[str, np.ndarray]) -> None:
    schema = frames_schema(6)
    rows = record_batch(frames, {IMAGE: frames[IMAGE]}, travelling_schema(schema))
    np.testing.assert_array_equal(tensor_values(rows[IMAGE], schema.field(IMAGE)), frames[IMAGE])


def test_infinity_names_column_video_and_frame(frames: dict[str, np.ndarray]) -> None:
    schema = attention_schema(("logits",), num_classes=3, num_channels=8, map_shape=(4, 4))
    logits = np.zeros((5, 3), np.float32)
    logits[3, 1] = np.inf
    with pytest.raises(FloatingPointError, match="b, frame 15: column logits"):
        record_batch(frames, {"logits": logits}, travelling_schema(schema))
