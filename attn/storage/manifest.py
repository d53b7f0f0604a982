"""Manifests of the kinds of stores: the record of what a store was made from.

Rows of two runs may share a store only if their manifests agree.
"""

import dataclasses
import json
from typing import Any, TypeVar

import pyarrow as pa

from attn.errors import UsageError
from attn.schema import (
    ATTENTION_COLUMNS,
    CLIP_COLUMNS,
    FLOW_COLUMNS,
    FRAME_COLUMNS,
    GRADCAM,
    LABEL,
    SCHEMA_VERSION,
    attention_schema,
    clip_schema,
    flow_schema,
    frames_schema,
)
from attn.storage.error_messages import bucket_is_missing
from attn.storage.location import Location
from attn.storage.store_manifest import NAME, StoreManifest, hash_of


@dataclasses.dataclass(frozen=True)
class Manifest(StoreManifest):
    """Manifest of an attention store.

    Attributes:
        flow: stacks of optical flow from which the rows were computed: their length, and the kind of flow; None for
            frames.
    """

    kind = "attention store"
    later = ("flow",)
    allowed_columns = ATTENTION_COLUMNS
    job = "precompute"
    flag = "--out"
    way_out = "add --overwrite"

    class_names: tuple[str, ...]
    backbone: str
    weights_sha256: str
    map_layer: str
    alpha_reduce: str
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preprocessing: str
    sampling: dict[str, Any]
    precision: str
    columns: tuple[str, ...]
    num_channels: int
    map_shape: tuple[int, int]
    flow: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION
    informative: dict[str, Any] = dataclasses.field(default_factory=dict)
    map_kind: str = GRADCAM

    @property
    def fingerprint(self) -> str:
        """Hash of the fields that decide the rows; Grad-CAM is not hashed, because older stores do not name it."""
        fields = self._decisive()
        if self.map_kind == GRADCAM:
            del fields["map_kind"]
        return hash_of(fields)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata contains the fingerprint and the class names.

        The field of the label has the names too. They do not count when schemas are compared.
        """
        schema = attention_schema(
            self.columns,
            num_classes=len(self.class_names),
            num_channels=self.num_channels,
            map_shape=self.map_shape,
        )
        names = json.dumps(self.class_names, ensure_ascii=False)
        place = schema.get_field_index(LABEL)
        label = schema.field(place)
        schema = schema.set(place, label.with_metadata({**(label.metadata or {}), "class_names": names}))
        return schema.with_metadata({"fingerprint": self.fingerprint, "class_names": names})


@dataclasses.dataclass(frozen=True)
class ClipManifest(Manifest):
    """Manifest of a clip store, which is an attention store with a row per clip.

    Attributes:
        clip: length and step of a clip in kept frames, distance of clips (`every`), window (`crop`) in pixels, and
            number of windows (`crops`) whose probabilities are averaged.
        map_names: names of the attention maps.
        map_time: number of time steps of an attention map.
    """

    kind = "clip store"
    allowed_columns = CLIP_COLUMNS

    clip: dict[str, int] = dataclasses.field(kw_only=True)
    map_names: tuple[str, ...] = dataclasses.field(kw_only=True)
    map_time: int = dataclasses.field(kw_only=True)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata contains the fingerprint and the class names."""
        schema = clip_schema(
            self.columns,
            num_classes=len(self.class_names),
            num_maps=len(self.map_names),
            map_shape=(self.map_time, *self.map_shape),
        )
        names = json.dumps(self.class_names, ensure_ascii=False)
        return schema.with_metadata({"fingerprint": self.fingerprint, "class_names": names})


SCORE_FIELDS = (
    *("class_names", "weights_sha256", "backbone", "map_layer", "map_shape", "alpha_reduce", "map_kind"),
    *("preprocessing", "input_size", "mean", "std"),
)
"""Fields that decide the magnitude of a video score.

The choice of frames and their precision do not change it, because a score is a mean over frames.
"""
GRID_FIELDS = (
    *("weights_sha256", "backbone", "map_layer", "map_shape"),
    *("preprocessing", "input_size", "mean", "std", "sampling"),
)
"""Fields that decide the grids and how far apart two rows are, which a model of sequences depends on."""
FEATURE_FIELDS = ("weights_sha256", "backbone", "preprocessing", "input_size", "mean", "std")
"""Fields that decide the features of a frame; which frames are stored does not change them."""
STORE_FIELDS = "store"
"""Name of these fields in the record of a trained model."""


@dataclasses.dataclass(frozen=True)
class FrameManifest(StoreManifest):
    """Manifest of a frame store. It names no classes and its rows carry no labels, so any list of videos may use it."""

    kind = "frame store"
    allowed_columns = FRAME_COLUMNS
    job = "train_cnn"
    flag = "--frames"
    way_out = "remove this one"

    input_size: int
    preprocessing: str
    sampling: dict[str, Any]
    columns: tuple[str, ...] = FRAME_COLUMNS
    schema_version: int = SCHEMA_VERSION
    informative: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        return frames_schema(self.input_size).with_metadata({"fingerprint": self.fingerprint})


@dataclasses.dataclass(frozen=True)
class FlowManifest(StoreManifest):
    """Manifest of a flow store. It names no classes and its rows carry no labels.

    Attributes:
        algorithm: name of the algorithm.
        parameters: parameters of the algorithm that decide the flow; of a network, the SHA-256 of its weights too.
        bound_px: flow of this many pixels per step is stored as 127.
        sampling: selection of frames, and so the step: a row has the flow to the next kept frame.
    """

    kind = "flow store"
    allowed_columns = FLOW_COLUMNS
    job = "precompute_flow"
    flag = "--out"
    way_out = "add --overwrite"

    algorithm: str
    parameters: dict[str, Any]
    bound_px: float
    input_size: int
    preprocessing: str
    sampling: dict[str, Any]
    columns: tuple[str, ...] = FLOW_COLUMNS
    schema_version: int = SCHEMA_VERSION
    informative: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata contains the fingerprint and the bound."""
        metadata = {"fingerprint": self.fingerprint, "bound_px": repr(self.bound_px)}
        return flow_schema(self.input_size).with_metadata(metadata)


FLOW_FIELDS = (*("algorithm", "parameters", "bound_px"), *("input_size", "preprocessing", "sampling"))
"""Fields that decide the kind of flow, which a model that was trained on it depends on."""

AnyManifest = TypeVar("AnyManifest", bound=StoreManifest)


def read_manifest(store: Location, kind: type[AnyManifest]) -> AnyManifest | None:
    """Manifest of the store in a folder; None if no store was started.

    Raises:
        UsageError: as `from_json`, or a file is at the place of the folder.
        FileNotFoundError: the bucket does not exist. Wrap the call in `Location.errors`, as for all storage errors.
    """
    try:
        text = (store / NAME).read_bytes()
    except FileNotFoundError as error:
        if bucket_is_missing(error):
            raise
        return None
    except NotADirectoryError as error:
        raise UsageError(f"{store}: a file, not a folder. Give the folder of the {kind.kind}.") from error
    return kind.from_json(text, where=f"{store.url}/{NAME}")
