"""Pictures that a CNN is trained on: Web images, or the frames of videos.

Both are small descriptions that every worker gets; a row is a picture's place among all. `noun` is what messages call
them, `validated` whether some are held out.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int

from attn.stages.frames import cache_frames, first_rows
from attn.stages.holdout import hold_out
from attn.stages.images import cache_images
from attn.stages.pixels import ImageCache
from attn.storage.parts import PartVideos


@dataclasses.dataclass(frozen=True)
class WebImages:
    """Photographs; a share of each class is held out, drawn among those that can be read.

    Attributes:
        image_names: relative to their folder.
        paths: local or URLs.
        labels: class ids.
        cache_key: of `attn.stages.images.cache_key`.
        size: side of the prepared images, in pixels.
        validation_fraction: share of each class; 0 for none.
        seed: of that choice.
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

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> ImageCache:
        """Their pixels, prepared on this machine unless they are; see `cache_images`."""
        return cache_images(self.paths, self.cache_key, self.size, folder, threads=threads, tell=tell)

    def held_out(self, rows: Int[np.ndarray, "image"]) -> Bool[np.ndarray, "image"]:
        """Which of these rows are not learnt from."""
        if not self.validation_fraction:
            return np.zeros(len(rows), dtype=bool)
        return hold_out(self.names(rows), self.labels[rows], fraction=self.validation_fraction, seed=self.seed)

    def names(self, rows: Int[np.ndarray, "image"]) -> list[str]:
        """Names by which the record tells these rows."""
        return [self.image_names[int(row)] for row in rows]


@dataclasses.dataclass(frozen=True)
class VideoFrames:
    """All kept frames of some videos, by video id and then by frame.

    Whole videos are held out: frames of one video are near copies of each other.

    Attributes:
        url: of the frame store.
        parts: of it, with these videos alone.
        video_labels: class id of each video.
        held: ids of the videos that are not learnt from; none where no class can spare one.
    """

    noun: ClassVar[str] = "frames"

    url: str
    parts: Sequence[PartVideos]
    video_labels: Mapping[str, int]
    held: frozenset[str]

    @cached_property
    def num_frames(self) -> dict[str, int]:
        """Frames of each video."""
        return {video_id: rows for part in self.parts for video_id, rows in part.rows.items()}

    @cached_property
    def labels(self) -> Int[np.ndarray, "image"]:
        """Class ids."""
        ids = sorted(self.num_frames)
        return np.repeat([self.video_labels[one] for one in ids], [self.num_frames[one] for one in ids])

    @property
    def cache_key(self) -> str:
        """Another one for other videos or other parts: what a part holds never changes."""
        parts = sorted(f"{part.path}\t{sorted(part.rows.items())}" for part in self.parts)
        return hashlib.sha256("\n".join((self.url, *parts)).encode()).hexdigest()[:16]

    @property
    def validated(self) -> bool:
        """Whether some are held out."""
        return bool(self.held)

    def cached(self, folder: Path, *, threads: int, tell: Callable[[int], None]) -> ImageCache:
        """Their pixels, copied to this machine unless they are; see `cache_frames`."""
        return cache_frames(self.url, self.parts, self.cache_key, folder, threads=threads, tell=tell)

    def held_out(self, rows: Int[np.ndarray, "image"]) -> Bool[np.ndarray, "image"]:
        """Which of these rows are not learnt from."""
        held = np.zeros(len(self.labels), dtype=bool)
        for video_id, first in first_rows(self.num_frames).items():
            held[first : first + self.num_frames[video_id]] = video_id in self.held
        return held[rows]

    def names(self, rows: Int[np.ndarray, "image"]) -> list[str]:
        """Ids of their videos."""
        starts = first_rows(self.num_frames)
        ids, firsts = list(starts), np.array(list(starts.values()))
        return [ids[index] for index in np.unique(np.searchsorted(firsts, rows, side="right") - 1)]


Pictures = WebImages | VideoFrames
