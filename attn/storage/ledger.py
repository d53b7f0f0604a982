"""The life of a store as a run sees it: begun with a manifest, filled video by video, ended with `_SUCCESS.json`.

The parts themselves say what is done. There is no other record that could disagree with them.
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
from attn.storage.attempts import try_again
from attn.storage.contents import DAMAGED, SUCCESS, holds_something, remove_leftovers, remove_store
from attn.storage.contents import PROGRESS as PROGRESS
from attn.storage.damage import is_damage
from attn.storage.filesystem import absolute, is_local, open_filesystem, storage_errors, write_atomic
from attn.storage.manifest import NAME as MANIFEST
from attn.storage.manifest import Manifest, StoreManifest, read_manifest
from attn.storage.occupied import occupied
from attn.storage.parts import PartVideos, list_parts, read_parts, rewrite_without

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A store opened for writing; `kind` says what store it must be."""

    fs: AbstractFileSystem
    root: str
    url: str
    kind: type[StoreManifest] = Manifest

    @classmethod
    def at(cls, url: str, kind: type[StoreManifest] = Manifest) -> "Ledger":
        """The store at a URL, which need not exist; its own URL is absolute, for the processes that share it."""
        fs, root = open_filesystem(url)
        return cls(fs, root.rstrip("/"), absolute(url), kind)

    @property
    def begun(self) -> bool:
        """Whether a store stands there, of whatever kind."""
        return self.fs.exists(f"{self.root}/{MANIFEST}")

    @property
    def finished(self) -> bool:
        """Whether the mark of completion stands there."""
        return self.fs.exists(f"{self.root}/{SUCCESS}")

    def check(self, manifest: StoreManifest, *, anew: bool = False) -> None:
        """Refuses to add rows to a store that was made otherwise; with `anew`, only what is no store at all.

        Raises:
            UsageError: the manifest there differs; the folder holds something that is no store; it cannot be read, for
                one because there is no such bucket.
        """
        with storage_errors(self.url):
            found = self.manifest()
            strange = found is None and holds_something(self.fs, self.root)
        if found is None:
            if strange:
                raise UsageError(f"{self.url} is not empty and no {self.kind.kind}; choose another {self.kind.flag}")
        elif not anew and (difference := manifest.difference(found)):
            way_out = f"choose another {self.kind.flag}, or {self.kind.anew}"
            raise UsageError(f"{self.url} holds another run's rows ({difference}); {way_out}")

    def manifest(self) -> StoreManifest | None:
        """The manifest, if the store has begun."""
        return read_manifest(self.fs, self.root, self.url, self.kind)

    def occupied(self, *, wait: bool = False) -> contextlib.AbstractContextManager[None]:
        """Keeps other runs out while its block lasts, see `attn.storage.occupied`."""
        return occupied(self.fs, self.root, self.url, wait=wait)

    def begin(self, manifest: StoreManifest) -> None:
        """Writes the manifest and takes away the mark of completion and what killed runs left half-written.

        Raises:
            UsageError: it cannot be written there, or nothing be removed.
        """
        with storage_errors(self.url):
            remove_leftovers(self.fs, self.root)
            if self.manifest() is None:
                self.write(MANIFEST, manifest.to_json())
        self.check(manifest)  # again: since then another run may have begun
        with storage_errors(self.url):
            if self.finished:
                self.fs.rm_file(f"{self.root}/{SUCCESS}")

    def clear(self) -> None:
        """Removes the store, and nothing else: a folder without a manifest is left alone, and so are others' files.

        The folder itself stays: it may be the current one, a link, or where a disk is mounted.

        Raises:
            UsageError: the folder is no store; something in it cannot be removed.
        """
        if self.manifest() is not None:
            with storage_errors(self.url):
                remove_store(self.fs, self.root)
        elif holds_something(self.fs, self.root):
            raise UsageError(f"{self.url} is no {self.kind.kind}, so --overwrite will not remove it")

    def done(self, manifest: StoreManifest | None = None) -> dict[str, int]:
        """Complete videos and their numbers of rows, from the parts themselves.

        An unreadable part is moved to `_damaged/`, so that its videos are made again. Videos that stand in two parts
        (two runs at the same time) are taken out of one of them, so that every reader meets them once.

        Args:
            manifest: of the run that asks; its parts would be set aside from another run's store.

        Raises:
            UsageError: the storage does not give or take what it should; the store is another run's by now.
        """
        with storage_errors(self.url):
            if manifest is not None:
                self._check_still(manifest)
            return self._done() if is_local(self.fs) else try_again(self._done, self.url)

    def _check_still(self, manifest: StoreManifest) -> None:
        found = self.manifest()
        if found is None:
            raise UsageError(f"{self.url} is gone: it has no {MANIFEST} any more")
        if found.fingerprint != manifest.fingerprint:
            raise UsageError(f"{self.url}: another run has begun this store again meanwhile; choose another folder")

    def repair(self, unreadable: Mapping[str, str]) -> None:
        """Takes out what keeps a store from being right, so that the next run completes it.

        Args:
            unreadable: names of parts, and why; moved to `_damaged/`, as are those that `done` finds.

        Raises:
            UsageError: the storage does not give or take what it should.
        """
        with storage_errors(self.url):
            if self.finished:
                self.fs.rm_file(f"{self.root}/{SUCCESS}")
            for name, why in unreadable.items():
                self._set_aside(f"{self.root}/{name}", why)
        self.done()

    def completed(self) -> dict[str, int]:
        """The same, but looks only: nothing is moved or mended."""
        with storage_errors(self.url):
            parts = [part for _, part in self._read_parts() if isinstance(part, PartVideos)]
        return {video: rows for part in parts for video, rows in part.rows.items()}

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes `_SUCCESS.json`, last of all: counts, seconds, the list of parts."""
        remove_leftovers(self.fs, self.root)
        parts = [path.rsplit("/", 1)[-1] for path in list_parts(self.fs, self.root)]
        self.write(SUCCESS, json.dumps({**summary, "parts": parts}, indent=1))

    def write(self, name: str, text: str) -> None:
        """A small file of the store, atomically."""
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
            elif not isinstance(part, FileNotFoundError):  # another run took it away
                raise part
        return readable

    def _set_aside(self, path: str, why: object) -> None:
        aside = f"{self.root}/{DAMAGED}/{path.rsplit('/', 1)[-1]}"
        log.warning("%s is unreadable (%s); moved to %s, its videos are made again", path, why, aside)
        self.fs.makedirs(f"{self.root}/{DAMAGED}", exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another run did it
            _move(self.fs, path, aside)

    def _taken_out(self, part: PartVideos, videos: set[str]) -> bool:
        """Whether the part holds its other videos afterwards: one that is damaged elsewhere is set aside."""
        log.warning("%s repeats or cuts %d videos; they are taken out of it", part.path, len(videos))
        try:
            rewrite_without(self.fs, part.path, videos)
        except FileNotFoundError:  # another run took the part away, whether for these videos or for damage
            return False
        except (OSError, pa.ArrowException) as error:
            if not is_damage(error, self.fs):
                raise
            self._set_aside(part.path, error)
            return False
        return True


def _move(fs: AbstractFileSystem, path: str, to: str) -> None:
    """Not `fs.mv`, which takes a path for a pattern where it cannot rename."""
    if is_local(fs):
        fs.mv(path, to)
    else:
        fs.cp_file(path, to)
        fs.rm_file(path)
