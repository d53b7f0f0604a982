"""Training of a network of clips as plain data for the workers."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from attn.models.attention_distillation import ClipArchitecture
from attn.models.clip_input import ClipInput
from attn.schema import FLOW, IMAGE
from attn.stages.clips import ClipSampling
from attn.storage.filesystem import storage_errors
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore, FrameStore
from attn.training.array_cache import Array
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.frames import cache_column, first_rows
from attn.training.video_table import VideoTable


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """Column of a store for the videos of a training.

    Attributes:
        column: image or flow.
        url: absolute URL of the store.
        parts: parts of the store, limited to these videos.
    """

    column: Literal["image", "flow"]
    url: str
    parts: Sequence[PartVideos]

    @functools.cached_property
    def first_row(self) -> dict[str, int]:
        """Row of the first frame of each video in the cache."""
        return first_rows({video_id: rows for part in self.parts for video_id, rows in part.rows.items()})

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> Array:
        """Values of all frames, copied to this machine if not cached yet."""
        with storage_errors(self.url):
            store = {IMAGE: FrameStore, FLOW: FlowStore}[self.column].open(self.url)
        return cache_column(store, self.column, self.parts, self._key, folder, threads=threads, tell=tell)

    @property
    def _key(self) -> str:
        """Name of the cache, which depends on videos and parts; the content of a part never changes."""
        lines = sorted(f"{part.path}\t{sorted(part.rows.items())}" for part in self.parts)
        named = hashlib.sha256("\n".join((self.url, *lines)).encode()).hexdigest()
        return f"{self.column}-{named[:16]}"


@dataclasses.dataclass(frozen=True)
class ClipJob:
    """Training as plain data for the workers, on any machine.

    Attributes:
        options: command-line options.
        architecture: architecture of the network.
        input: input of the network.
        frames: frames of all videos; None for a network of flow.
        flow: flow of all videos; None for a network of frames without a teacher.
        train: training videos.
        held_out: videos for validation; may be empty.
        class_names: names of the classes.
        cache_folder: folder for frames and flow on each machine; None for a temporary one.
        own_key: part of a folder's name that no other training has.
        run_url: URL of the run folder.
    """

    options: TrainClipCnnOptions
    architecture: ClipArchitecture
    input: ClipInput
    frames: ClipSource | None
    flow: ClipSource | None
    train: VideoTable
    held_out: VideoTable
    class_names: tuple[str, ...]
    cache_folder: str | None
    own_key: str
    run_url: str

    @property
    def sampling(self) -> ClipSampling:
        """Selection of the frames of a clip."""
        return ClipSampling(self.options.length, self.options.step, self.options.jitter)

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates of an epoch."""
        return -(-len(self.train.video_ids) // self.options.batch)

    @property
    def short_videos(self) -> int:
        """Number of videos that are shorter than a clip, whose last frame is repeated."""
        return sum(int(np.sum(table.num_frames < self.sampling.span)) for table in (self.train, self.held_out))
