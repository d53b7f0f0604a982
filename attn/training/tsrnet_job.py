"""Training of a TSRNet as plain data for the workers."""

import dataclasses
from typing import Any

from attn.storage.store import AttentionStore
from attn.training.tsrnet_options import TrainTsrnetOptions
from attn.training.video_table import VideoTable


@dataclasses.dataclass(frozen=True)
class TsrnetJob:
    """Training as plain data for the workers, on any machine. It contains no times of actions.

    Attributes:
        options: command-line options.
        store_url: absolute URL of the store of the untrimmed videos.
        trimmed_url: absolute URL of the store of the trimmed videos; None without transfer.
        train: untrimmed training videos with the masks of their classes.
        held_out: untrimmed videos for validation; may be empty.
        trimmed: trimmed videos; None without transfer.
        multi_label: whether an untrimmed video may have several classes or none.
        class_names: names of the classes.
        num_channels: number of features.
        init: absolute URL of the folder of the network to start from; None for random weights.
        init_sha256: SHA-256 of its file.
        sources: record of the lists and of the store of the trimmed videos, in JSON types.
        cache_folder: folder for the features on each machine; None for a temporary one.
        own_key: part of a folder's name that no other training has.
        run_url: URL of the run folder.
    """

    options: TrainTsrnetOptions
    store_url: str
    trimmed_url: str | None
    train: VideoTable
    held_out: VideoTable
    trimmed: VideoTable | None
    multi_label: bool
    class_names: tuple[str, ...]
    num_channels: int
    init: str | None
    init_sha256: str | None
    sources: dict[str, Any]
    cache_folder: str | None
    own_key: str
    run_url: str

    @property
    def total(self) -> int:
        """Number of updates."""
        return self.options.updates

    def open_store(self, url: str) -> AttentionStore:
        """Open a store of features.

        Raises:
            UsageError: the store does not exist or is not finished.
        """
        return AttentionStore.open(url, allow_partial=self.options.allow_partial)
