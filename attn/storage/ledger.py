"""Life cycle of a store during a run: started with a manifest, filled video by video, finished with `_SUCCESS.json`.

Completed videos are recorded only in the parts, so no other record can disagree with them.
"""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from attn.errors import UsageError
from attn.storage.contents import DAMAGED, SUCCESS, holds_something, remove_leftovers, remove_store
from attn.storage.contents import PROGRESS as PROGRESS
from attn.storage.damage import is_damage
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.storage.manifest import Manifest, StoreManifest, read_manifest
from attn.storage.parts import PartVideos, list_parts, read_parts, rewrite_without
from attn.storage.retry import retried
from attn.storage.run_lock import occupied
from attn.storage.store_manifest import NAME as MANIFEST

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A store opened for writing; `kind` is the kind of store that it must be."""

    folder: Location
    kind: type[StoreManifest] = Manifest

    @classmethod
    def at(cls, url: str, kind: type[StoreManifest] = Manifest) -> "Ledger":
        """Ledger of the store at a URL, which need not exist."""
        return cls(Location.at(Location.at(url).absolute), kind)

    @property
    def url(self) -> str:
        """URL of the store; absolute, because several processes share it."""
        return self.folder.url

    @property
    def begun(self) -> bool:
        """Whether the folder holds a store, of any kind."""
        return (self.folder / MANIFEST).exists()

    @property
    def finished(self) -> bool:
        """Whether `_SUCCESS.json` exists."""
        return (self.folder / SUCCESS).exists()

    def check(self, manifest: StoreManifest, *, overwrite: bool = False) -> None:
        """Refuse a folder of other files and, unless `overwrite`, a store with a different manifest.

        Raises:
            UsageError: the manifests differ; the folder holds files but no store; the store cannot be read, for example
                because the bucket does not exist.
        """
        with storage_errors(self.url):
            found = self.manifest()
            strange = found is None and holds_something(self.folder)
        if found is None:
            if strange:
                raise UsageError(f"{self.url}: holds files but no {self.kind.kind}. Choose another {self.kind.flag}.")
        elif not overwrite and (difference := manifest.difference(found)):
            way_out = f"Choose another {self.kind.flag}, or {self.kind.way_out}"
            raise UsageError(f"{self.url}: made with other settings ({difference}). {way_out}.")

    def manifest(self) -> StoreManifest | None:
        """Manifest of the store; None if no store was started."""
        return read_manifest(self.folder, self.kind)

    def locked(self, *, wait: bool = False) -> contextlib.AbstractContextManager[None]:
        """Lock the store against other runs while the block lasts, see `attn.storage.run_lock`."""
        return occupied(self.folder, wait=wait)

    def begin(self, manifest: StoreManifest) -> None:
        """Write the manifest, and remove `_SUCCESS.json` and the half-written files of killed runs.

        Raises:
            UsageError: the folder is not writable, or a file cannot be removed.
        """
        with storage_errors(self.url):
            remove_leftovers(self.folder)
            if self.manifest() is None:
                self.write(MANIFEST, manifest.to_json())
        self.check(manifest)  # again, because another run may have started in the meantime
        with storage_errors(self.url):
            self._reopen()

    def clear(self) -> None:
        """Remove the files of the store, but neither a folder without a manifest nor files of other programs.

        The folder itself stays too: it may be the working directory, a link or a mount point.

        Raises:
            UsageError: the folder holds files but no store; a file cannot be removed.
        """
        if self.manifest() is not None:
            with storage_errors(self.url):
                remove_store(self.folder)
        elif holds_something(self.folder):
            raise UsageError(
                f"{self.url}: --overwrite removes only a {self.kind.kind}. Choose another {self.kind.flag}."
            )

    def done(self, manifest: StoreManifest | None = None) -> dict[str, int]:
        """Complete videos and their numbers of rows, read from the parts.

        Unreadable parts are moved to `_damaged/`, so that their videos are computed again. A video that is in two parts
        (written by two runs at the same time) is removed from one of them, so that every reader meets it once.

        Args:
            manifest: manifest of the calling run, compared first: if the store now belongs to another run, nothing is
                moved.

        Raises:
            UsageError: the storage fails, or the store now belongs to another run.
        """
        with storage_errors(self.url):
            if manifest is not None:
                self._check_still(manifest)
            return self._done() if self.folder.is_local else retried(self._done, self.url)

    def _reopen(self) -> None:
        if self.finished:
            (self.folder / SUCCESS).remove()

    def _check_still(self, manifest: StoreManifest) -> None:
        found = self.manifest()
        if found is None:
            raise UsageError(
                f"{self.url}: the store was removed during the run ({MANIFEST} is missing). Start the run again."
            )
        if found.fingerprint != manifest.fingerprint:
            raise UsageError(f"{self.url}: another run has replaced this store. Choose another {self.kind.flag}.")

    def repair(self, unreadable: Mapping[str, str]) -> None:
        """Remove what makes a store incomplete or wrong, so that the next run completes it.

        Args:
            unreadable: part name → why it is unreadable. These parts are moved to `_damaged/`, and so are those that
                `done` finds.

        Raises:
            UsageError: the storage fails.
        """
        with storage_errors(self.url):
            self._reopen()
            for name, why in unreadable.items():
                self._set_aside(self.folder / name, why)
        self.done()

    def completed(self) -> dict[str, int]:
        """Complete videos and their numbers of rows, like `done`, but without moving or repairing anything."""
        with storage_errors(self.url):
            parts = [part for _, part in self._read_parts() if isinstance(part, PartVideos)]
        return {video: rows for part in parts for video, rows in part.rows.items()}

    def finish(self, summary: dict[str, Any]) -> None:
        """Write `_SUCCESS.json`, the last file of a store: counts, seconds and the list of parts."""
        remove_leftovers(self.folder)
        parts = [part.name for part in list_parts(self.folder)]
        self.write(SUCCESS, json.dumps({**summary, "parts": parts}, indent=1))

    def write(self, name: str, text: str) -> None:
        """Write a small file of the store atomically."""
        (self.folder / name).write_atomic(text.encode())

    def _done(self) -> dict[str, int]:
        done: dict[str, int] = {}
        for part in self._readable_parts():
            superfluous = (done.keys() & part.rows.keys()) | part.partial
            if not superfluous or self._taken_out(part, superfluous):
                done |= part.rows
        return done

    def _read_parts(self) -> Iterator[tuple[Location, PartVideos | OSError | pa.ArrowException]]:
        manifest = self.manifest()
        return read_parts(self.folder, manifest and manifest.schema)

    def _readable_parts(self) -> list[PartVideos]:
        readable = []
        for part, found in self._read_parts():
            if isinstance(found, PartVideos):
                readable.append(found)
            elif is_damage(found, part):
                self._set_aside(part, found)
            elif not isinstance(found, FileNotFoundError):  # removed by another run
                raise found
        return readable

    def _set_aside(self, part: Location, why: object) -> None:
        folder = self.folder / DAMAGED
        aside = folder / part.name
        log.warning("%s: the part is unreadable (%s). Moved to %s; its videos are computed again.", part, why, aside)
        folder.fs.makedirs(folder.path, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # moved by another run
            _move(part, aside)

    def _taken_out(self, part: PartVideos, videos: set[str]) -> bool:
        """Remove videos from a part; return whether the part still holds its other videos.

        If the part proves to be damaged elsewhere, it is moved to `_damaged/`.
        """
        file = self.folder.at_path(part.path)
        log.warning("%s: %d videos are duplicate or incomplete. Removing them from this part.", file, len(videos))
        try:
            rewrite_without(file, videos)
        except FileNotFoundError:  # another run removed the part, because of these videos or of damage
            return False
        except (OSError, pa.ArrowException) as error:
            if not is_damage(error, file):
                raise
            self._set_aside(file, error)
            return False
        return True


def _move(file: Location, to: Location) -> None:
    """Move a file without `fs.mv`, which treats the path as a pattern on storages that cannot rename."""
    if file.is_local:
        file.fs.mv(file.path, to.path)
    else:
        file.fs.cp_file(file.path, to.path)
        file.remove()
