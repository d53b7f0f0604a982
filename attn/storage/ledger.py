"""The life of a store as a run sees it: begun with a manifest, filled video by video, ended with `_SUCCESS.json`.

The parts themselves say what is done. There is no other record that could disagree with them.
"""

import contextlib
import dataclasses
import json
import logging
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.schema import VIDEO_ID
from attn.storage.contents import DAMAGED, SUCCESS, holds_something, remove_leftovers, remove_store
from attn.storage.contents import PROGRESS as PROGRESS
from attn.storage.filesystem import absolute, is_local, open_filesystem, storage_errors, write_atomic
from attn.storage.manifest import NAME as MANIFEST
from attn.storage.manifest import Manifest, StoreManifest, read_manifest
from attn.storage.parts import PartVideos, list_parts, read_part_videos

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

    def check(self, manifest: StoreManifest, *, anew: bool = False) -> None:
        """Refuses to add rows to a store that was made otherwise; with `anew`, only what is no store at all.

        Raises:
            UsageError: the manifest there differs; the folder holds something that is no store; no such bucket.
        """
        bucket = self.root.split("/")[0]
        if bucket and not self.fs.exists(bucket):
            raise UsageError(f"{self.url}: no bucket {bucket}; make it first, or correct the name")
        found = self.manifest()
        if found is None:
            if holds_something(self.fs, self.root):
                raise UsageError(f"{self.url} is not empty and no {self.kind.kind}; choose another {self.kind.flag}")
        elif not anew and (difference := manifest.difference(found)):
            way_out = f"choose another {self.kind.flag}, or {self.kind.anew}"
            raise UsageError(f"{self.url} holds another run's rows ({difference}); {way_out}")

    def manifest(self) -> StoreManifest | None:
        """The manifest, if the store has begun."""
        return read_manifest(self.fs, self.root, self.url, self.kind)

    def begin(self, manifest: StoreManifest) -> None:
        """Writes the manifest and takes away the mark of completion and what killed runs left half-written."""
        remove_leftovers(self.fs, self.root)
        if self.manifest() is None:
            self.write(MANIFEST, manifest.to_json())
        if self.fs.exists(f"{self.root}/{SUCCESS}"):
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

    def done(self) -> dict[str, int]:
        """Complete videos and their numbers of rows, from the parts themselves.

        An unreadable part is moved to `_damaged/`, so that its videos are made again. Videos that stand in two parts
        (two runs at the same time) are taken out of one of them, so that every reader meets them once.
        """
        done: dict[str, int] = {}
        for part in self._readable_parts():
            if superfluous := (done.keys() & part.rows.keys()) | part.partial:
                log.warning("%s repeats or cuts %d videos; they are taken out of it", part.path, len(superfluous))
                self._rewrite_without(part, superfluous)
            done |= part.rows
        return done

    def completed(self) -> dict[str, int]:
        """The same, but looks only: nothing is moved or mended."""
        done: dict[str, int] = {}
        for path in list_parts(self.fs, self.root):
            with contextlib.suppress(OSError, pa.ArrowException):
                done |= read_part_videos(self.fs, path).rows
        return done

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes `_SUCCESS.json`, last of all: counts, seconds, the list of parts."""
        parts = [path.rsplit("/", 1)[-1] for path in list_parts(self.fs, self.root)]
        self.write(SUCCESS, json.dumps({**summary, "parts": parts}, indent=1))

    def write(self, name: str, text: str) -> None:
        """A small file of the store, atomically."""
        write_atomic(self.fs, f"{self.root}/{name}", text.encode())

    def _readable_parts(self) -> list[PartVideos]:
        readable = []
        for path in list_parts(self.fs, self.root):
            try:
                readable.append(read_part_videos(self.fs, path))
            except (OSError, pa.ArrowException) as error:
                if isinstance(error, PermissionError | ConnectionError | TimeoutError):
                    raise
                aside = f"{self.root}/{DAMAGED}/{path.rsplit('/', 1)[-1]}"
                log.warning("%s is unreadable (%s); moved to %s, its videos are made again", path, error, aside)
                self.fs.makedirs(f"{self.root}/{DAMAGED}", exist_ok=True)
                _move(self.fs, path, aside)
        return readable

    def _rewrite_without(self, part: PartVideos, videos: set[str]) -> None:
        with self.fs.open(part.path, "rb") as file:
            table = pq.read_table(file)
        table = table.filter(~pc.field(VIDEO_ID).isin(sorted(videos)))
        if len(table) == 0:
            self.fs.rm_file(part.path)
            return
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=256)
        write_atomic(self.fs, part.path, sink.getvalue().to_pybytes())


def _move(fs: AbstractFileSystem, path: str, to: str) -> None:
    """Not `fs.mv`, which takes a path for a pattern where it cannot rename."""
    if is_local(fs):
        fs.mv(path, to)
    else:
        fs.cp_file(path, to)
        fs.rm_file(path)
