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
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.contents import DAMAGED, SUCCESS, holds_something, remove_leftovers, remove_store
from attn.storage.contents import PROGRESS as PROGRESS
from attn.storage.damage import is_damage
from attn.storage.filesystem import absolute, is_local, open_filesystem, storage_errors, write_atomic
from attn.storage.manifest import Manifest, StoreManifest, read_manifest
from attn.storage.parts import PartVideos, list_parts, read_parts, rewrite_without
from attn.storage.retry import retried
from attn.storage.run_lock import occupied
from attn.storage.store_manifest import NAME as MANIFEST

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A store opened for writing; `kind` is the kind of store that it must be."""

    fs: AbstractFileSystem
    root: str
    url: str
    kind: type[StoreManifest] = Manifest

    @classmethod
    def at(cls, url: str, kind: type[StoreManifest] = Manifest) -> "Ledger":
        """Ledger of the store at a URL, which need not exist.

        Its own `url` is absolute, because several processes share it.
        """
        fs, root = open_filesystem(url)
        return cls(fs, root.rstrip("/"), absolute(url), kind)

    @property
    def begun(self) -> bool:
        """Whether the folder holds a store, of any kind."""
        return self.fs.exists(f"{self.root}/{MANIFEST}")

    @property
    def finished(self) -> bool:
        """Whether `_SUCCESS.json` exists."""
        return self.fs.exists(f"{self.root}/{SUCCESS}")

    def check(self, manifest: StoreManifest, *, overwrite: bool = False) -> None:
        """Refuse a folder of other files and, unless `overwrite`, a store with a different manifest.

        Raises:
            UsageError: the manifests differ; the folder holds files but no store; the store cannot be read, for example
                because the bucket does not exist.
        """
        with storage_errors(self.url):
            found = self.manifest()
            strange = found is None and holds_something(self.fs, self.root)
        if found is None:
            if strange:
                raise UsageError(f"{self.url}: holds files but no {self.kind.kind}. Choose another {self.kind.flag}.")
        elif not overwrite and (difference := manifest.difference(found)):
            way_out = f"Choose another {self.kind.flag}, or {self.kind.way_out}"
            raise UsageError(f"{self.url}: made with other settings ({difference}). {way_out}.")

    def manifest(self) -> StoreManifest | None:
        """Manifest of the store; None if no store was started."""
        return read_manifest(self.fs, self.root, self.url, self.kind)

    def locked(self, *, wait: bool = False) -> contextlib.AbstractContextManager[None]:
        """Lock the store against other runs while the block lasts, see `attn.storage.run_lock`."""
        return occupied(self.fs, self.root, self.url, wait=wait)

    def begin(self, manifest: StoreManifest) -> None:
        """Write the manifest, and remove `_SUCCESS.json` and the half-written files of killed runs.

        Raises:
            UsageError: the folder is not writable, or a file cannot be removed.
        """
        with storage_errors(self.url):
            remove_leftovers(self.fs, self.root)
            if self.manifest() is None:
                self.write(MANIFEST, manifest.to_json())
        self.check(manifest)  # again, because another run may have started in the meantime
        with storage_errors(self.url):
            if self.finished:
                self.fs.rm_file(f"{self.root}/{SUCCESS}")

    def clear(self) -> None:
        """Remove the files of the store, but neither a folder without a manifest nor files of other programs.

        The folder itself stays too: it may be the working directory, a link or a mount point.

        Raises:
            UsageError: the folder holds files but no store; a file cannot be removed.
        """
        if self.manifest() is not None:
            with storage_errors(self.url):
                remove_store(self.fs, self.root)
        elif holds_something(self.fs, self.root):
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
            return self._done() if is_local(self.fs) else retried(self._done, self.url)

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
            if self.finished:
                self.fs.rm_file(f"{self.root}/{SUCCESS}")
            for name, why in unreadable.items():
                self._set_aside(f"{self.root}/{name}", why)
        self.done()

    def completed(self) -> dict[str, int]:
        """Complete videos and their numbers of rows, like `done`, but without moving or repairing anything."""
        with storage_errors(self.url):
            parts = [part for _, part in self._read_parts() if isinstance(part, PartVideos)]
        return {video: rows for part in parts for video, rows in part.rows.items()}

    def finish(self, summary: dict[str, Any]) -> None:
        """Write `_SUCCESS.json`, the last file of a store: counts, seconds and the list of parts."""
        remove_leftovers(self.fs, self.root)
        parts = [path.rsplit("/", 1)[-1] for path in list_parts(self.fs, self.root)]
        self.write(SUCCESS, json.dumps({**summary, "parts": parts}, indent=1))

    def write(self, name: str, text: str) -> None:
        """Write a small file of the store atomically."""
        write_atomic(self.fs, f"{self.root}/{name}", text.encode())

    def _done(self) -> dict[str, int]:
        done: dict[str, int] = {}
        for part in self._readable_parts():
            superfluous = (done.keys() & part.rows.keys()) | part.partial
            if not superfluous or self._taken_out(part, superfluous):
                done |= part.rows
        return done

    def _read_parts(self) -> Iterator[tuple[str, PartVideos | OSError | pa.ArrowException]]:
        manifest = self.manifest()
        return read_parts(self.fs, self.root, manifest and manifest.schema)

    def _readable_parts(self) -> list[PartVideos]:
        readable = []
        for path, part in self._read_parts():
            if isinstance(part, PartVideos):
                readable.append(part)
            elif is_damage(part, self.fs):
                self._set_aside(path, part)
            elif not isinstance(part, FileNotFoundError):  # removed by another run
                raise part
        return readable

    def _set_aside(self, path: str, why: object) -> None:
        aside = f"{self.root}/{DAMAGED}/{path.rsplit('/', 1)[-1]}"
        log.warning("%s: the part is unreadable (%s). Moved to %s; its videos are computed again.", path, why, aside)
        self.fs.makedirs(f"{self.root}/{DAMAGED}", exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # moved by another run
            _move(self.fs, path, aside)

    def _taken_out(self, part: PartVideos, videos: set[str]) -> bool:
        """Remove videos from a part; return whether the part still holds its other videos.

        If the part proves to be damaged elsewhere, it is moved to `_damaged/`.
        """
        log.warning("%s: %d videos are duplicate or incomplete. Removing them from this part.", part.path, len(videos))
        try:
            rewrite_without(self.fs, part.path, videos)
        except FileNotFoundError:  # another run removed the part, because of these videos or of damage
            return False
        except (OSError, pa.ArrowException) as error:
            if not is_damage(error, self.fs):
                raise
            self._set_aside(part.path, error)
            return False
        return True


def _move(fs: AbstractFileSystem, path: str, to: str) -> None:
    """Move a file without `fs.mv`, which treats the path as a pattern on storages that cannot rename."""
    if is_local(fs):
        fs.mv(path, to)
    else:
        fs.cp_file(path, to)
        fs.rm_file(path)
