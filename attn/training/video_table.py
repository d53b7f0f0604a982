"""Table of the videos of a training run, whose order determines the rows of a bank."""

import dataclasses
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from attn.classes import class_mask


@dataclasses.dataclass(frozen=True)
class VideoTable:
    """Labelled videos; the frames of a video are consecutive rows.

    Attributes:
        video_ids: unique IDs.
        targets: class ids; or the mask of the classes of each video, if it may have several or none.
        num_frames: number of frames of each video.
    """

    video_ids: tuple[str, ...]
    targets: Int[np.ndarray, "video"] | Bool[np.ndarray, "video cls"]
    num_frames: Int[np.ndarray, "video"]

    @classmethod
    def of(cls, labels: Mapping[str, int], num_frames: Mapping[str, int]) -> "VideoTable":
        """Build the table of videos of one class each, sorted by class and then by ID.

        Args:
            labels: video ID → class id.
            num_frames: video ID → number of frames; may include other videos.
        """
        ids = sorted(labels, key=lambda video_id: (labels[video_id], video_id))
        return cls(
            tuple(ids),
            np.array([labels[video_id] for video_id in ids], np.int64),
            np.array([num_frames[video_id] for video_id in ids], np.int64),
        )

    @classmethod
    def of_label_sets(
        cls, classes: Mapping[str, Collection[int]], num_frames: Mapping[str, int], *, num_classes: int
    ) -> "VideoTable":
        """Build the table of videos of several classes or none, sorted by ID.

        Args:
            classes: video ID → class ids.
            num_frames: video ID → number of frames; may include other videos.
            num_classes: number of classes.
        """
        ids = sorted(classes)
        mask = class_mask([classes[video_id] for video_id in ids], num_classes)
        return cls(tuple(ids), mask, np.array([num_frames[video_id] for video_id in ids], np.int64))

    def sorted_by_id(self) -> "VideoTable":
        """Table of the same videos, sorted by ID."""
        order = np.argsort(np.array(self.video_ids, object), kind="stable")
        ids = tuple(self.video_ids[place] for place in order)
        return VideoTable(ids, self.targets[order], self.num_frames[order])

    @property
    def labels(self) -> Int[np.ndarray, "video"]:
        """Class ids.

        Raises:
            ValueError: a video may have several classes or none.
        """
        if self.targets.ndim > 1:
            raise ValueError("the videos of this table may have several classes or none")
        return self.targets

    @cached_property
    def first_row(self) -> Int[np.ndarray, "video"]:
        """Row of the first frame of each video."""
        return np.cumsum(self.num_frames) - self.num_frames

    @property
    def rows(self) -> int:
        """Total number of frames."""
        return int(self.num_frames.sum())

    @property
    def record(self) -> list[tuple[str, Any, int]]:
        """Videos with their targets and numbers of frames, in JSON types."""
        return list(zip(self.video_ids, self.targets.tolist(), self.num_frames.tolist(), strict=True))

    def share(self, worker: int, workers: int) -> "tuple[VideoTable, int]":
        """Videos of one worker, and the row of their first frame in this table.

        Shares are consecutive: the rows are divided equally, and a video belongs to the worker whose range contains its
        middle. If there are more workers than videos, some shares are empty.
        """
        middle = self.first_row + self.num_frames / 2
        start, stop = np.searchsorted(middle, np.array([worker, worker + 1]) * self.rows / workers)
        share = VideoTable(self.video_ids[start:stop], self.targets[start:stop], self.num_frames[start:stop])
        return share, int(self.num_frames[:start].sum())
