"""Which videos a training uses, as arrays: their order decides which row of a map bank is whose."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class VideoTable:
    """Labelled videos, sorted by class and then by id; their frames, as rows, follow each other.

    Attributes:
        video_ids: unique.
        labels: class ids.
        num_frames: kept frames of each.
    """

    video_ids: tuple[str, ...]
    labels: Int[np.ndarray, "video"]
    num_frames: Int[np.ndarray, "video"]

    @classmethod
    def of(cls, labels: Mapping[str, int], num_frames: Mapping[str, int]) -> "VideoTable":
        """The table of some videos.

        Args:
            labels: video id → class id.
            num_frames: of these videos and perhaps of others.
        """
        ids = sorted(labels, key=lambda video_id: (labels[video_id], video_id))
        return cls(
            tuple(ids),
            np.array([labels[video_id] for video_id in ids], np.int64),
            np.array([num_frames[video_id] for video_id in ids], np.int64),
        )

    @cached_property
    def first_row(self) -> Int[np.ndarray, "video"]:
        """Row of the first frame of each video."""
        return np.cumsum(self.num_frames) - self.num_frames

    @property
    def rows(self) -> int:
        """Frames of all videos."""
        return int(self.num_frames.sum())

    def share(self, worker: int, workers: int) -> "tuple[VideoTable, int]":
        """A worker's videos and the row at which they begin here.

        Neighbours, so that its rows follow each other; a video belongs to the worker in whose equal part of all rows
        its middle lies. With more workers than videos some have none.
        """
        middle = self.first_row + self.num_frames / 2
        start, stop = np.searchsorted(middle, np.array([worker, worker + 1]) * self.rows / workers)
        mine = VideoTable(self.video_ids[start:stop], self.labels[start:stop], self.num_frames[start:stop])
        return mine, int(self.num_frames[:start].sum())
