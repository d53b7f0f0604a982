"""Data contract between jobs: column names, Arrow schemas, axes and units of a store.

A store has one row per kept frame, with its attention maps (attention store), its pixels (frame store) or the optical
flow to the next kept frame (flow store); the rows of a video are contiguous and in order. Tensors are flat fixed-size
lists whose field metadata holds `shape` and `axes`: pandas, polars, duckdb, Hugging Face datasets and pyarrow can all
read them, unlike nested lists and Arrow's tensor extension.
"""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

SCHEMA_VERSION = 1
"""Version of the format of all stores; docs/store.md says which changes need the next number."""

VIDEO_ID = "video_id"
FRAME = "frame"
TIME_S = "time_s"
N_FRAMES = "n_frames"
LABEL = "label"
TRUNCATED = "truncated"
LOGITS = "logits"
MAPS = "maps"
FEATURES = "features"
GRID = "grid"
IMAGE = "image"
FLOW = "flow"
ATTENTION = "attention"
REPEATED = "repeated"

ATTENTION_COLUMNS = (LOGITS, MAPS, FEATURES, GRID)
"""Tensor columns that an attention store may have, in the order of the parts."""
CLIP_COLUMNS = (LOGITS, ATTENTION)
"""Tensor columns that a clip store may have."""
FRAME_COLUMNS = (IMAGE,)
"""Tensor columns of a frame store."""
FLOW_COLUMNS = (FLOW,)
"""Tensor columns of a flow store."""

OF_CLASSES = frozenset({LOGITS, MAPS})
"""Columns with an axis of the store's classes; the others do not depend on classes."""

FRAME_FIELDS = (
    pa.field(VIDEO_ID, pa.string(), nullable=False),
    pa.field(FRAME, pa.int32(), nullable=False, metadata={"meaning": "index in the source"}),
    pa.field(TIME_S, pa.float32(), nullable=False, metadata={"unit": "s"}),
    pa.field(N_FRAMES, pa.int32(), nullable=False, metadata={"meaning": "kept frames of this video"}),
    pa.field(LABEL, pa.int16(), metadata={"meaning": "class id, null where unknown"}),
    pa.field(TRUNCATED, pa.bool_(), nullable=False, metadata={"meaning": "the source ends before it says it does"}),
)

FAILURE_SCHEMA = pa.schema(
    [
        pa.field(VIDEO_ID, pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False, metadata={"meaning": "class of the error"}),
        pa.field("message", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
    ]
)


def tensor_field(name: str, dtype: pa.DataType, axes: Mapping[str, int]) -> pa.Field:
    """Fixed-size list column with the shape of its tensors in the metadata.

    Args:
        name: name of the column.
        dtype: type of one element.
        axes: axis name → length, outermost axis first.
    """
    size = 1
    for length in axes.values():
        size *= length
    metadata = {"shape": json.dumps(list(axes.values())), "axes": " ".join(axes)}
    return pa.field(name, pa.list_(pa.field("element", dtype, nullable=False), size), nullable=False, metadata=metadata)


def attention_schema(
    columns: Sequence[str], *, num_classes: int, num_channels: int, map_shape: tuple[int, int]
) -> pa.Schema:
    """Schema of the parts of an attention store.

    Args:
        columns: tensor columns to store, from maps, logits, features and grid.
        num_classes: number of classes, n.
        num_channels: number of feature maps of the trunk, K.
        map_shape: height and width of the trunk's activations, H and W.
    """
    height, width = map_shape
    tensors = {
        LOGITS: tensor_field(LOGITS, pa.float32(), {"cls": num_classes}),
        MAPS: tensor_field(MAPS, pa.float16(), {"cls": num_classes, "row": height, "col": width}),
        FEATURES: tensor_field(FEATURES, pa.float16(), {"chan": num_channels}),
        GRID: tensor_field(GRID, pa.float16(), {"chan": num_channels, "row": height, "col": width}),
    }
    return pa.schema([*FRAME_FIELDS, *(field for name, field in tensors.items() if name in columns)])


def clip_schema(
    columns: Sequence[str], *, num_classes: int, num_maps: int, map_shape: tuple[int, int, int]
) -> pa.Schema:
    """Schema of the parts of a clip store, whose rows have frame and time of a clip's first frame.

    Args:
        columns: tensor columns to store, from logits and attention.
        num_classes: number of classes.
        num_maps: number of attention maps of the network.
        map_shape: time, height and width of an attention map.
    """
    time, height, width = map_shape
    axes = {"map": num_maps, "time": time, "row": height, "col": width}
    tensors = {
        LOGITS: tensor_field(LOGITS, pa.float32(), {"cls": num_classes}),
        ATTENTION: tensor_field(ATTENTION, pa.float16(), axes),
    }
    repeated = pa.field(
        REPEATED, pa.int16(), nullable=False, metadata={"meaning": "repeats of the last frame at the end"}
    )
    return pa.schema([*FRAME_FIELDS, repeated, *(field for name, field in tensors.items() if name in columns)])


def frames_schema(size: int) -> pa.Schema:
    """Schema of the parts of a frame store: square uint8 images, `size` pixels a side, rows from the top."""
    return pa.schema([*FRAME_FIELDS, tensor_field(IMAGE, pa.uint8(), {"row": size, "col": size, "rgb": 3})])


def flow_schema(size: int) -> pa.Schema:
    """Schema of the parts of a flow store: int8 flow to the right and down, `size` pixels a side."""
    return pa.schema([*FRAME_FIELDS, tensor_field(FLOW, pa.int8(), {"chan": 2, "row": size, "col": size})])


def row_bytes(schema: pa.Schema) -> int:
    """Size of a row of a store in bytes, before compression. The columns that are not tensors count 8 bytes each."""
    tensors = [field.type for field in schema if pa.types.is_fixed_size_list(field.type)]
    return 8 * len(FRAME_FIELDS) + sum(kind.list_size * kind.value_type.bit_width // 8 for kind in tensors)


def scores_field(num_classes: int) -> pa.Field:
    """Column of video scores, one number per class."""
    return tensor_field("scores", pa.float32(), {"cls": num_classes})
