"""Manifest of any kind of store: fields, fingerprint, differences, and the text of the file.

The kinds are in `attn.storage.manifest`.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import pyarrow as pa

from attn.errors import UsageError
from attn.schema import SCHEMA_VERSION

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
        return hash_of(self._decisive())

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


def kind_of(fields: Mapping[str, Any], *, where: str) -> type[StoreManifest]:
    """Kind of the store that a manifest file describes.

    Args:
        fields: content of the file. Manifests from before kinds were recorded lack it; of those, only attention stores
            name classes.
        where: URL of the file, for messages.

    Raises:
        UsageError: the kind is unknown.
    """
    name = fields.get("kind", "attention store" if "class_names" in fields else "frame store")
    for kind in _kinds(StoreManifest):
        if name == kind.kind:
            return kind
    raise UsageError(f"{where}: this version of attn does not know stores of kind {name!r}. {NEWER}")


def _kinds(kind: type[StoreManifest]) -> Iterator[type[StoreManifest]]:
    """All kinds of manifests below one."""
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _check_version(version: Any, where: str) -> None:
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"schema version {version!r}")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{where}: this version of attn reads schema versions up to {SCHEMA_VERSION}, not {version}. {NEWER}"
        )


def made_by(packages: Iterable[str]) -> dict[str, Any]:
    """Versions of Python and of those packages that are installed, for the record of a store or a training."""
    versions = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"packages": versions, "python": platform.python_version()}


def hash_of(fields: Mapping[str, Any]) -> str:
    """Hash of fields in JSON types, 16 hexadecimal digits."""
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(value)} in all)"
