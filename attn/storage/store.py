"""Readers of stores: one video at a time, each frame exactly once, in order."""

import dataclasses
import functools
import itertools
from collections.abc import Collection, Iterator, Sequence, Set
from typing import Generic, Self

import numpy as np
import pyarrow as pa

from attn.errors import UsageError
from attn.schema import FRAME, LABEL, N_FRAMES, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.contents import SUCCESS
from attn.storage.damage import REPAIR, SET_ASIDE, damage_named
from attn.storage.location import Location
from attn.storage.manifest import AnyManifest, FlowManifest, FrameManifest, Manifest, read_manifest
from attn.storage.part_columns import read_columns
from attn.storage.parts import PartVideos, read_parts
from attn.storage.tensors import tensor_values


@dataclasses.dataclass(frozen=True)
class VideoRows:
    """All rows of one video.

    Attributes:
        video_id: ID of the video.
        label: class ID; None if unknown.
        truncated: whether the source ended before its declared length.
        frame: index in the source, int32 [frame].
        time_s: time in the source, float32 [frame].
        tensors: column name → values, [frame, …].
    """

    video_id: str
    label: int | None
    truncated: bool
    frame: np.ndarray
    time_s: np.ndarray
    tensors: dict[str, np.ndarray]

    @property
    def logits(self) -> np.ndarray:
        """Logits of the classes, float32 [frame, cls]."""
        return self.tensors["logits"]

    @property
    def maps(self) -> np.ndarray:
        """Raw attention maps, float16 [frame, cls, row, col]."""
        return self.tensors["maps"]


@dataclasses.dataclass(frozen=True)
class Store(Generic[AnyManifest]):
    """A store of any kind, opened for reading."""

    folder: Location
    manifest: AnyManifest

    @property
    def url(self) -> str:
        """URL of the store, as it was given."""
        return self.folder.url

    @functools.cached_property
    def parts(self) -> list[PartVideos]:
        """Parts with the videos to read from each, such that every complete video is read once.

        Raises:
            UsageError: a part is damaged.
        """
        seen: set[str] = set()
        parts = []
        for part, found in read_parts(self.folder, self.manifest.schema):
            if not isinstance(found, PartVideos):
                with damage_named(part, SET_ASIDE, self.manifest.job):
                    raise found
            parts.append(PartVideos(part.path, {video: n for video, n in found.rows.items() if video not in seen}))
            seen |= found.rows.keys()
        return parts

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a store that lacks tensor columns.

        Raises:
            UsageError: columns are missing; the message names them and the flag that adds them.
        """
        held = self.manifest.of(["columns"])["columns"]
        missing = [name for name in columns if name not in held]
        if missing:
            raise UsageError(
                f"{self.url}: the store lacks {', '.join(missing)}. Run {self.manifest.job} into another folder "
                f"with --columns {' '.join(dict.fromkeys([*held, *missing]))}."
            )

    @property
    def video_ids(self) -> list[str]:
        """IDs of all complete videos, in the order in which `videos` yields them."""
        return [video for part in self.parts for video in part.rows]

    @property
    def num_frames(self) -> dict[str, int]:
        """Number of rows of each complete video."""
        return {video: rows for part in self.parts for video, rows in part.rows.items()}

    def runs(self, part: PartVideos, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of a part's videos, in order. Each batch holds rows of one video; a long video has several batches.

        Args:
            part: one of `parts`, possibly with fewer videos.
            columns: columns of the schema, including `video_id`.

        Raises:
            UsageError: the part is damaged.
        """
        file = self.folder.at_path(part.path)
        with damage_named(file, REPAIR, self.manifest.job):
            for batch in read_columns(file, list(columns)):
                yield from (rows for rows in slices_of_videos(batch) if rows[VIDEO_ID][0].as_py() in part.rows)

    def parts_with(self, videos: Set[str]) -> list[PartVideos]:
        """Parts that hold some of these videos, limited to these videos.

        Raises:
            UsageError: some of the videos are missing, and a part is damaged.
        """
        left, parts, damaged = set(videos), [], None
        for part, found in read_parts(self.folder, self.manifest.schema):
            if not isinstance(found, PartVideos):
                damaged = damaged or (part, found)
            elif wanted := {video: n for video, n in found.rows.items() if video in left}:
                parts.append(PartVideos(part.path, wanted))
                left -= wanted.keys()
        if left and damaged is not None:
            part, error = damaged
            with damage_named(part, REPAIR, self.manifest.job):
                raise error
        return parts


class AttentionStore(Store[Manifest]):
    """A store of attention maps, opened for reading."""

    @classmethod
    def open(cls, url: str, *, allow_partial: bool = False) -> Self:
        """Open the store at a URL.

        Args:
            url: local path or s3:// URL of the store.
            allow_partial: accept a store whose precompute has not finished.

        Raises:
            UsageError: no store exists at the URL, or it is not finished.
        """
        folder, manifest = _opened(url, Manifest)
        _check_finished(folder, manifest.job, allow_partial=allow_partial)
        return cls(folder, manifest)

    def videos(self, columns: Sequence[str]) -> Iterator[VideoRows]:
        """All complete videos, one at a time.

        Args:
            columns: tensor columns to read, from maps, logits, features and grid.

        Raises:
            UsageError: the store lacks one of the columns, or a part is damaged.
        """
        self.check_columns(columns)
        for part in self.parts:
            yield from self._videos_of(part, columns)

    def _videos_of(self, part: PartVideos, columns: Sequence[str]) -> Iterator[VideoRows]:
        names = [VIDEO_ID, FRAME, TIME_S, N_FRAMES, LABEL, TRUNCATED, *columns]
        waiting: list[pa.RecordBatch] = []
        for rows in self.runs(part, names):
            if waiting and waiting[0][VIDEO_ID][0] != rows[VIDEO_ID][0]:
                waiting = []
            waiting.append(rows)
            if sum(len(some) for some in waiting) == rows[N_FRAMES][0].as_py():
                yield self._video(pa.Table.from_batches(waiting), columns)
                waiting = []

    def _video(self, table: pa.Table, columns: Sequence[str]) -> VideoRows:
        return VideoRows(
            video_id=table[VIDEO_ID][0].as_py(),
            label=table[LABEL][0].as_py(),
            truncated=table[TRUNCATED][0].as_py(),
            frame=table[FRAME].to_numpy(),
            time_s=table[TIME_S].to_numpy(),
            tensors={name: tensor_values(table[name], self.manifest.schema.field(name)) for name in columns},
        )


class FrameStore(Store[FrameManifest]):
    """A store of frames as pixels, opened for reading."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the store at a URL, finished or not, because its readers know which videos they need.

        Raises:
            UsageError: no store exists at the URL.
        """
        return cls(*_opened(url, FrameManifest))


class FlowStore(Store[FlowManifest]):
    """A store of optical flow, opened for reading."""

    @classmethod
    def open(cls, url: str, *, allow_partial: bool = False) -> Self:
        """Open the store at a URL.

        Raises:
            UsageError: no store exists at the URL, or it is not finished and `allow_partial` is false.
        """
        folder, manifest = _opened(url, FlowManifest)
        _check_finished(folder, manifest.job, allow_partial=allow_partial)
        return cls(folder, manifest)


def _check_finished(store: Location, job: str, *, allow_partial: bool) -> None:
    if not allow_partial and not (store / SUCCESS).exists():
        raise UsageError(
            f"{store.url}: the store is not finished ({SUCCESS} is missing). Run the same {job} again, or add "
            "--allow-partial."
        )


def _opened(url: str, kind: type[AnyManifest]) -> tuple[Location, AnyManifest]:
    folder = Location.at(url)
    with folder.errors():
        manifest = read_manifest(folder, kind)
    if manifest is None:
        raise UsageError(f"{url}: no {kind.kind} here (manifest.json is missing). Check the URL.")
    return folder, manifest


def slices_of_videos(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Slices of a batch with one video each."""
    ids = batch[VIDEO_ID].dictionary_encode().indices.to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)]
    for start, stop in itertools.pairwise(cuts):
        yield batch.slice(start, stop - start)
