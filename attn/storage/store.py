"""Reading an attention store: one video at a time, each frame exactly once, in order."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import pyarrow as pa
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.schema import FRAME, LABEL, N_FRAMES, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.damage import REMOVE, SET_ASIDE, damage_named
from attn.storage.filesystem import url_of
from attn.storage.ledger import SUCCESS, Ledger
from attn.storage.manifest import Manifest
from attn.storage.parts import PartVideos, list_parts, read_columns, read_part_videos
from attn.storage.tensors import tensor_values


@dataclasses.dataclass(frozen=True)
class VideoRows:
    """All rows of one video.

    Attributes:
        video_id: whose.
        label: class id, None where unknown.
        truncated: the source ended before it said it would.
        frame: int32 [frame], index in the source.
        time_s: float32 [frame].
        tensors: column name → [frame, …].
    """

    video_id: str
    label: int | None
    truncated: bool
    frame: np.ndarray
    time_s: np.ndarray
    tensors: dict[str, np.ndarray]

    @property
    def logits(self) -> np.ndarray:
        """float32 [frame, cls]."""
        return self.tensors["logits"]

    @property
    def maps(self) -> np.ndarray:
        """float16 [frame, cls, row, col], raw."""
        return self.tensors["maps"]


@dataclasses.dataclass(frozen=True)
class AttentionStore:
    """A store opened for reading."""

    fs: AbstractFileSystem
    root: str
    url: str
    manifest: Manifest

    @classmethod
    def open(cls, url: str, *, allow_partial: bool = False) -> Self:
        """The store at a URL.

        Args:
            url: local or s3://.
            allow_partial: read what is there although precompute has not finished.

        Raises:
            UsageError: no store there; one that is not finished.
        """
        ledger = Ledger.at(url)
        manifest = ledger.manifest()
        if manifest is None:
            raise UsageError(f"{url} is no attention store: it has no manifest.json")
        if not allow_partial and not ledger.fs.exists(f"{ledger.root}/{SUCCESS}"):
            raise UsageError(
                f"{url} is not finished: it has no {SUCCESS}; run the same precompute again, or say --allow-partial"
            )
        return cls(ledger.fs, ledger.root, url, manifest)

    @functools.cached_property
    def parts(self) -> list[PartVideos]:
        """The parts with the videos that are read from each: every complete video once.

        Raises:
            UsageError: a part is damaged.
        """
        seen: set[str] = set()
        parts = []
        for path in list_parts(self.fs, self.root):
            with damage_named(url_of(self.fs, path), SET_ASIDE):
                found = read_part_videos(self.fs, path)
            parts.append(PartVideos(path, {video: n for video, n in found.rows.items() if video not in seen}))
            seen |= found.rows.keys()
        return parts

    @property
    def video_ids(self) -> list[str]:
        """Ids of all complete videos, in the order in which `videos` yields them."""
        return [video for part in self.parts for video in part.rows]

    def videos(self, columns: Sequence[str]) -> Iterator[VideoRows]:
        """All complete videos, one at a time.

        Args:
            columns: tensor columns to read, of maps, logits, features, grid.

        Raises:
            UsageError: the store lacks one of the columns; a part is damaged.
        """
        missing = [name for name in columns if name not in self.manifest.columns]
        if missing:
            raise UsageError(
                f"{self.url} holds no {', '.join(missing)}; precompute again with --columns "
                f"{' '.join(dict.fromkeys([*self.manifest.columns, *missing]))}"
            )
        for part in self.parts:
            yield from self._videos_of(part, columns)

    def _videos_of(self, part: PartVideos, columns: Sequence[str]) -> Iterator[VideoRows]:
        names = [VIDEO_ID, FRAME, TIME_S, N_FRAMES, LABEL, TRUNCATED, *columns]
        waiting: list[pa.RecordBatch] = []
        for batch in self._batches(part.path, names):
            for rows in _runs(batch):
                if waiting and waiting[0][VIDEO_ID][0] != rows[VIDEO_ID][0]:
                    waiting = []
                waiting.append(rows)
                if sum(len(some) for some in waiting) == rows[N_FRAMES][0].as_py():
                    if rows[VIDEO_ID][0].as_py() in part.rows:
                        yield self._video(pa.Table.from_batches(waiting), columns)
                    waiting = []

    def _batches(self, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with damage_named(url_of(self.fs, path), REMOVE):
            yield from read_columns(self.fs, path, columns)

    def _video(self, table: pa.Table, columns: Sequence[str]) -> VideoRows:
        return VideoRows(
            video_id=table[VIDEO_ID][0].as_py(),
            label=table[LABEL][0].as_py(),
            truncated=table[TRUNCATED][0].as_py(),
            frame=table[FRAME].to_numpy(),
            time_s=table[TIME_S].to_numpy(),
            tensors={name: tensor_values(table[name], self.manifest.schema.field(name)) for name in columns},
        )


def _runs(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch cut where the video changes."""
    ids = batch[VIDEO_ID].dictionary_encode().indices.to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)]
    for start, stop in itertools.pairwise(cuts):
        yield batch.slice(start, stop - start)
