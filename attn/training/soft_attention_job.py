"""Training of a soft-attention LSTM as plain data for the workers."""

import dataclasses
import functools

import numpy as np

from attn.stages.windows import Windows
from attn.storage.store import AttentionStore
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.video_table import VideoTable


@dataclasses.dataclass(frozen=True)
class SoftAttentionJob:
    """Training as plain data for the workers, on any machine.

    Attributes:
        options: command-line options.
        store_url: absolute URL of the store of the grids.
        train: training videos.
        held_out: videos for validation; may be empty.
        class_names: names of the classes.
        num_channels: number of channels of the grids.
        map_shape: number of rows and columns of the grids.
        cache_folder: folder for the grids on each machine; None for a temporary one.
        cached: all videos of the store, sorted by ID, if the cache is shared by trainings on it; else None.
        own_key: part of a folder's name that no other training has.
        run_url: URL of the run folder.
    """

    options: TrainSoftAttentionOptions
    store_url: str
    train: VideoTable
    held_out: VideoTable
    class_names: tuple[str, ...]
    num_channels: int
    map_shape: tuple[int, int]
    cache_folder: str | None
    cached: VideoTable | None
    own_key: str
    run_url: str

    @property
    def multi_label(self) -> bool:
        """Whether videos may have several classes or none."""
        return self.train.targets.ndim > 1

    @functools.cached_property
    def all_videos(self) -> VideoTable:
        """Training and held-out videos, sorted by ID: the cache of their grids does not depend on what is held out."""
        tables = (self.train, self.held_out)
        ids = self.train.video_ids + self.held_out.video_ids
        order = sorted(range(len(ids)), key=ids.__getitem__)
        return VideoTable(
            tuple(ids[i] for i in order),
            np.concatenate([table.targets for table in tables])[order],
            np.concatenate([table.num_frames for table in tables])[order],
        )

    @property
    def cached_videos(self) -> VideoTable:
        """Videos in the bank of grids."""
        return self.all_videos if self.cached is None else self.cached

    def windows(self, table: VideoTable) -> Windows:
        """Windows of the videos of a table, whose frames are rows of the grids of `cached_videos`."""
        config, everything = self.options, self.cached_videos
        rows = dict(zip(everything.video_ids, everything.first_row.tolist(), strict=True))
        return Windows.of(
            table.num_frames,
            frames=config.window_frames,
            stride=config.window_stride,
            skip=config.skip,
            first_row=np.array([rows[video_id] for video_id in table.video_ids], np.int64),
        )

    def updates(self, table: VideoTable) -> int:
        """Number of updates of all epochs over the videos of a table."""
        return self.options.epochs * -(-len(self.windows(table)) // self.options.batch)

    @functools.cached_property
    def total(self) -> int:
        """Number of updates at most, including those of training again on all videos."""
        return self.updates(self.train) + (self.updates(self.all_videos) if self.options.retrain else 0)

    def open_store(self) -> AttentionStore:
        """Open the store of the grids.

        Raises:
            UsageError: the store does not exist or is not finished.
        """
        return AttentionStore.open(self.store_url, allow_partial=self.options.allow_partial)
