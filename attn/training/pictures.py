"""Training images of a CNN: Web images, frames of videos, or stacks of their optical flow.

All classes are small descriptions that are sent to every worker; a row is the index of an image. `noun` is their name
in messages, and `validated` is True if some images are held out.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int

from attn.schema import FLOW
from attn.stages.flow.stacks import stack_rows
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore
from attn.training.bank import read_bank
from attn.training.frames import cache_frames, first_rows
from attn.training.holdout import hold_out
from attn.training.images import cache_images
from attn.training.pixels import ImageCache
from attn.training.video_table import VideoTable
from attn.video.transform import BILINEAR, Resampling


@dataclasses.dataclass(frozen=True)
class WebImages:
    """Photographs; a share of the readable ones of each class is held out.

    Attributes:
        image_names: names of the images, relative to their folder.
        paths: local paths or URLs of the images.
        labels: class ids of the images.
        cache_key: result of `attn.training.images.cache_key`.
        size: side of the prepared images, in pixels.
        validation_fraction: share of each class to hold out; 0 disables validation.
        seed: seed of that choice.
        resampling: part of an image that is kept, and the interpolation.
    """

    noun: ClassVar[str] = "images"
    validated: ClassVar[bool] = True

    image_names: Sequence[str]
    paths: Sequence[str]
    labels: Int[np.ndarray, "image"]
    cache_key: str
    size: int
    validation_fraction: float
    seed: int
    resampling: Resampling = BILINEAR

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> ImageCache:
        """Pixels of the images, prepared on this machine if not cached yet; see `cache_images`."""
        how = {"threads": threads, "tell": tell, "resampling": self.resampling}
        return cache_images(self.paths, self.cache_key, self.size, folder, **how)

    def held_out(self, rows: Int[np.ndarray, "image"]) -> Bool[np.ndarray, "image"]:
        """Mask of the given rows that are held out."""
        if not self.validation_fraction:
            return np.zeros(len(rows), dtype=bool)
        return hold_out(self.names(rows), self.labels[rows], fraction=self.validation_fraction, seed=self.seed)

    def names(self, rows: Int[np.ndarray, "image"]) -> list[str]:
        """Names of the images in the given rows, for the record."""
        return [self.image_names[int(row)] for row in rows]


@dataclasses.dataclass(frozen=True)
class VideoFrames:
    """All frames of selected videos in a frame store, sorted by video ID and then by frame.

    Whole videos are held out, because frames of one video are near-duplicates of each other.

    Attributes:
        url: URL of the frame store.
        parts: parts of the store, restricted to these videos.
        video_labels: class id of each video.
        held: IDs of the held-out videos; empty if all classes are too small.
    """

    noun: ClassVar[str] = "frames"

    url: str
    parts: Sequence[PartVideos]
    video_labels: Mapping[str, int]
    held: frozenset[str]

    @cached_property
    def num_frames(self) -> dict[str, int]:
        """Number of frames of each video."""
        return {video_id: rows for part in self.parts for video_id, rows in part.rows.items()}

    @cached_property
    def labels(self) -> Int[np.ndarray, "image"]:
        """Class ids of the frames."""
        ids = sorted(self.num_frames)
        return np.repeat([self.video_labels[one] for one in ids], [self.num_frames[one] for one in ids])

    @property
    def cache_key(self) -> str:
        """Name of the cache, which depends on videos and parts; the content of a part never changes."""
        parts = sorted(f"{part.path}\t{sorted(part.rows.items())}" for part in self.parts)
        return hashlib.sha256("\n".join((self.url, *parts)).encode()).hexdigest()[:16]

    @property
    def validated(self) -> bool:
        """True if some videos are held out."""
        return bool(self.held)

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> ImageCache:
        """Pixels of the frames, copied to this machine if not cached yet; see `cache_frames`."""
        return cache_frames(self.url, self.parts, self.cache_key, folder, threads=threads, tell=tell)

    def held_out(self, rows: Int[np.ndarray, "image"]) -> Bool[np.ndarray, "image"]:
        """Mask of the given rows that are held out."""
        held = np.zeros(len(self.labels), dtype=bool)
        for video_id, first in first_rows(self.num_frames).items():
            held[first : first + self.num_frames[video_id]] = video_id in self.held
        return held[rows]

    def names(self, rows: Int[np.ndarray, "image"]) -> list[str]:
        """IDs of the videos of the given rows."""
        starts = first_rows(self.num_frames)
        ids, firsts = list(starts), np.array(list(starts.values()))
        return [ids[index] for index in np.unique(np.searchsorted(firsts, rows, side="right") - 1)]


@dataclasses.dataclass(frozen=True)
class FlowStacks(VideoFrames):
    """Stacks of optical flow that begin at the frames of selected videos, from a flow store.

    Attributes:
        length: number of flows in a stack.
    """

    noun: ClassVar[str] = "stacks"

    length: int

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> ImageCache:
        """Flows of the videos, copied to this machine if not cached yet, with the rows of each stack."""
        table = VideoTable.of(self.video_labels, self.num_frames).sorted_by_id()
        bank = read_bank([FlowStore.open(self.url)], table, FLOW, threads=threads, cache=folder)
        tell(table.rows)
        return ImageCache(bank.values.numpy(), {}, stack_rows(table.num_frames.tolist(), self.length))


Pictures = WebImages | VideoFrames
