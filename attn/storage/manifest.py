"""Manifest of a store: the record of what the store was made from.

Rows of two runs may share a store only if their manifests agree.
"""

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self, TypeVar

import pyarrow as pa
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.schema import (
    ATTENTION_COLUMNS,
    CLIP_COLUMNS,
    FLOW_COLUMNS,
    FRAME_COLUMNS,
    SCHEMA_VERSION,
    attention_schema,
    clip_schema,
    flow_schema,
    frames_schema,
)
from attn.storage.error_messages import bucket_is_missing

NAME = "manifest.json"
NEWER = "Use the version that made the store, or a newer one."
"""Way out when a newer program made a store."""


@dataclasses.dataclass(frozen=True)
class StoreManifest:
    """Inputs and settings that decide the rows of a store, and the software that made it.

    The fingerprint is the hash of all fields except `informative`: a newer Pillow or another batch size must not make a
    half-finished store unusable, so the software is recorded and shown but never compared. The kind is recorded and not
    hashed either, so stores from before it was recorded keep their fingerprints. Subclasses for each kind of store add
    fields.
    """

    kind: ClassVar[str] = "store"
    """Name of this kind of store in the file and in messages."""
    allowed_columns: ClassVar[tuple[str, ...]] = ()
    """Tensor columns that a store of this kind may have."""
    job: ClassVar[str]
    """Name of the job that makes the store."""
    flag: ClassVar[str]
    """Flag that names the store."""
    later: ClassVar[tuple[str, ...]] = ()
    """Fields that were added later. They are not hashed if they are None, so older stores keep their fingerprints."""
    way_out: ClassVar[str]
    """End of a message, about how to discard the rows of an existing store."""

    @property
    def fingerprint(self) -> str:
        """Hash of the fields that decide the rows, 16 hexadecimal digits."""
        text = json.dumps(self._decisive(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata contains the fingerprint."""

    def difference(self, other: "StoreManifest", *, only: Collection[str] | None = None) -> str:
        """Differences in one line, such as `stride: 5 here, 10 there`; empty if the rows may share a store.

        Args:
            other: manifest of the same kind.
            only: names of the fields to compare. Default: all that decide the rows.
        """
        mine, theirs = self._decisive(), other._decisive()
        return "; ".join(
            f"{key}: {_short(mine.get(key))} here, {_short(theirs.get(key))} there"
            for key in mine | theirs
            if mine.get(key) != theirs.get(key) and (only is None or key in only)
        )

    def of(self, names: Collection[str]) -> dict[str, Any]:
        """Some of the fields that decide the rows, in JSON types."""
        return {name: value for name, value in self._decisive().items() if name in names}

    def to_json(self) -> str:
        """Text of the manifest file. Its fingerprint equals that of the parts and reveals later edits."""
        fields = {"fingerprint": self.fingerprint, "kind": self.kind, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """Parse the text of a manifest file; called on `StoreManifest`, it takes every kind.

        Args:
            text: text of the file.
            where: URL of the file, for messages.

        Raises:
            UsageError: the text is not a manifest, is one of another kind, was edited, or comes from a newer program
                that this one cannot follow.
        """
        try:
            fields = dict(json.loads(text))
            _check_version(fields.get("schema_version"), where)
            kind = kind_of(fields, where=where)
            names = {field.name for field in dataclasses.fields(kind)}
            known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items() if k in names}
            manifest = kind(**known)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{where}: not a manifest of {cls.kind}s ({error}). Check the URL.") from error
        if not isinstance(manifest, cls):
            raise UsageError(f"{where}: not a manifest of {cls.kind}s (its kind is {kind.kind}). Check the URL.")
        manifest._check_fields(
            fields.get("fingerprint"), sorted(fields.keys() - names - {"fingerprint", "kind"}), where
        )
        return manifest

    def _check_fields(self, written: str | None, unknown: Collection[str], where: str) -> None:
        """Refuse edits, and unknown fields and columns of newer programs unless they do not decide the rows."""
        if unknown and written != self.fingerprint:
            raise UsageError(f"{where}: this version of attn does not know {', '.join(unknown)}. {NEWER}")
        if written not in (None, self.fingerprint):
            raise UsageError(
                f"{where}: the file was edited (its fingerprint is {written}, that of its content "
                f"{self.fingerprint}). Restore the original."
            )
        if odd := [name for name in self._decisive()["columns"] if name not in self.allowed_columns]:
            known = ", ".join(self.allowed_columns)
            raise UsageError(f"{where}: {', '.join(odd)} is not a column of {self.kind}s ({known}). {NEWER}")

    def _decisive(self) -> dict[str, Any]:
        fields = json.loads(json.dumps(dataclasses.asdict(self)))
        del fields["informative"]
        return {name: value for name, value in fields.items() if name not in self.later or value is not None}


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

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata contains the fingerprint and the class names."""
        schema = attention_schema(
            self.columns,
            num_classes=len(self.class_names),
            num_channels=self.num_channels,
            map_shape=self.map_shape,
        )
        names = json.dumps(self.class_names, ensure_ascii=False)
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
    *("class_names", "weights_sha256", "backbone", "map_layer", "map_shape", "alpha_reduce"),
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

KINDS: tuple[type[StoreManifest], ...] = (Manifest, ClipManifest, FrameManifest, FlowManifest)


def kind_of(fields: Mapping[str, Any], *, where: str) -> type[StoreManifest]:
    """Kind of the store that a manifest file describes.

    Args:
        fields: content of the file. Manifests from before kinds were recorded lack it; of those, only attention stores
            name classes.
        where: URL of the file, for messages.

    Raises:
        UsageError: the kind is unknown.
    """
    name = fields.get("kind", Manifest.kind if "class_names" in fields else FrameManifest.kind)
    for kind in KINDS:
        if name == kind.kind:
            return kind
    raise UsageError(f"{where}: this version of attn does not know stores of kind {name!r}. {NEWER}")


def _check_version(version: Any, where: str) -> None:
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"schema version {version!r}")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{where}: this version of attn reads schema versions up to {SCHEMA_VERSION}, not {version}. {NEWER}"
        )


AnyManifest = TypeVar("AnyManifest", bound=StoreManifest)


def read_manifest(fs: AbstractFileSystem, root: str, url: str, kind: type[AnyManifest]) -> AnyManifest | None:
    """Manifest of the store in a folder; None if no store was started.

    Raises:
        UsageError: as `from_json`.
        FileNotFoundError: the bucket does not exist. Wrap the call in `storage_errors`, as for all storage errors.
    """
    try:
        text = fs.cat_file(f"{root}/{NAME}")
    except FileNotFoundError as error:
        if bucket_is_missing(error):
            raise
        return None
    return kind.from_json(text, where=f"{url}/{NAME}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(value)} in all)"
