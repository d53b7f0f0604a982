"""Records what a store was made from. Rows of two runs may stand in one store only if their manifests agree."""

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, Self, TypeVar

import pyarrow as pa
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.schema import IMAGE, SCHEMA_VERSION, attention_schema, frames_schema
from attn.storage.reasons import bucket_is_missing

NAME = "manifest.json"


@dataclasses.dataclass(frozen=True)
class StoreManifest:
    """Everything that decides what a row of a store holds, and what made it; kinds of stores add fields.

    The fingerprint is the hash of all fields but `informative`: a newer Pillow or another batch size must not lock
    the user out of a half-made store, so what made it is recorded and shown, never compared.

    Attributes:
        kind: what messages call the store.
        job: makes it.
        flag: names it.
        anew: what to do to be rid of what it holds.
    """

    kind: ClassVar[str]
    job: ClassVar[str]
    flag: ClassVar[str]
    anew: ClassVar[str]

    @property
    def fingerprint(self) -> str:
        """Hash of what decides the rows, 16 hexadecimal digits."""
        text = json.dumps(self._decisive(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata carries the fingerprint."""

    def difference(self, other: "StoreManifest", *, only: Collection[str] | None = None) -> str:
        """The differences in one line: `stride: 5 here, 10 there`. Empty when the rows may stand together.

        Args:
            other: of the same kind.
            only: the fields that count. Default: all that decide the rows.
        """
        mine, theirs = self._decisive(), other._decisive()
        return "; ".join(
            f"{key}: {_short(mine[key])} here, {_short(theirs[key])} there"
            for key in mine
            if mine[key] != theirs[key] and (only is None or key in only)
        )

    def of(self, names: Collection[str]) -> dict[str, Any]:
        """Some of the fields that decide the rows, in JSON types."""
        return {name: value for name, value in self._decisive().items() if name in names}

    def to_json(self) -> str:
        """The file's text; its fingerprint is that of its parts, and shows that no one has edited it."""
        return json.dumps({"fingerprint": self.fingerprint, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Self:
        """The manifest of a store.

        Raises:
            UsageError: not a manifest, or one of another kind or schema version, or one that was changed.
        """
        try:
            fields = json.loads(text)
            written = fields.pop("fingerprint", None)
            version = fields.get("schema_version")
            if version != SCHEMA_VERSION:
                raise UsageError(f"{where}: written with schema version {version}; this program reads {SCHEMA_VERSION}")
            known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            manifest = cls(**known)
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{where}: no manifest of {cls.kind}s ({error})") from error
        if written not in (None, manifest.fingerprint):
            raise UsageError(
                f"{where} was changed: its fingerprint is {written}, its content's {manifest.fingerprint}; restore it"
            )
        return manifest

    def _decisive(self) -> dict[str, Any]:
        fields = json.loads(json.dumps(dataclasses.asdict(self)))
        del fields["informative"]
        return fields


@dataclasses.dataclass(frozen=True)
class Manifest(StoreManifest):
    """Manifest of an attention store."""

    kind = "attention store"
    job = "precompute"
    flag = "--out"
    anew = "--overwrite"

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
    schema_version: int = SCHEMA_VERSION
    informative: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the parts; its metadata carries the fingerprint and the class names."""
        schema = attention_schema(
            self.columns,
            num_classes=len(self.class_names),
            num_channels=self.num_channels,
            map_shape=self.map_shape,
        )
        names = json.dumps(self.class_names, ensure_ascii=False)
        return schema.with_metadata({"fingerprint": self.fingerprint, "class_names": names})


SCORE_FIELDS = (
    *("class_names", "weights_sha256", "backbone", "map_layer", "map_shape", "alpha_reduce"),
    *("preprocessing", "input_size", "mean", "std"),
)
"""Fields that decide the size of a video score. A score is a mean over frames, so neither the choice of frames nor
their precision does."""


@dataclasses.dataclass(frozen=True)
class FrameManifest(StoreManifest):
    """Manifest of frames. It names no classes, and so its rows carry no labels: any list of videos may use it."""

    kind = "frame store"
    job = "train_cnn"
    flag = "--frames"
    anew = "remove that one"

    input_size: int
    preprocessing: str
    sampling: dict[str, Any]
    columns: tuple[str, ...] = (IMAGE,)
    schema_version: int = SCHEMA_VERSION
    informative: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        return frames_schema(self.input_size).with_metadata({"fingerprint": self.fingerprint})


def kind_of(text: str) -> type[Manifest] | type[FrameManifest]:
    """Which kind of manifest a text is or was meant to be: only one of an attention store names classes."""
    return Manifest if '"class_names"' in text else FrameManifest


AnyManifest = TypeVar("AnyManifest", bound=StoreManifest)


def read_manifest(fs: AbstractFileSystem, root: str, url: str, kind: type[AnyManifest]) -> AnyManifest | None:
    """The manifest of the store in a folder; None where no store has begun.

    Raises:
        UsageError: the store is of another kind.
        FileNotFoundError: no such bucket; as all errors of the storage: wrap in `storage_errors`.
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
