"""Stores of frames and flow for clips: their settings must agree, and every video must have both."""

import dataclasses
import functools
from collections.abc import Collection
from typing import Any

from attn.errors import UsageError, some
from attn.schema import FLOW, IMAGE
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.manifest import FLOW_FIELDS
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore, FrameStore
from attn.training.clip_job import ClipSource
from attn.training.clip_options import TrainClipCnnOptions

ALIGNED = ("input_size", "preprocessing", "sampling")
"""Settings that decide which pixels of which frames the rows of a store are."""


@dataclasses.dataclass(frozen=True)
class ClipStores:
    """Stores of frames, flow or both.

    Attributes:
        frames: frame store; None for a network of flow.
        flow: flow store; None without flow.
    """

    frames: FrameStore | None
    flow: FlowStore | None

    @property
    def first(self) -> FrameStore | FlowStore:
        """Store of the network's own input.

        Raises:
            ValueError: both are missing.
        """
        found = self.frames or self.flow
        if found is None:
            raise ValueError("neither frames nor flow")
        return found

    @property
    def url(self) -> str:
        """URL of the store of the network's own input."""
        return self.first.url

    @property
    def flow_url(self) -> str:
        """URL of the flow store, for messages."""
        return shown(self.flow.url) if self.flow else ""

    @property
    def size(self) -> int:
        """Side of the frames, in pixels."""
        return self.first.manifest.input_size

    @property
    def preprocessing(self) -> str:
        """Preprocessing of the frames."""
        return self.first.manifest.preprocessing

    @property
    def sampling(self) -> dict[str, Any]:
        """Selection of the frames."""
        return self.first.manifest.sampling

    @property
    def flow_fields(self) -> dict[str, Any]:
        """Kind of flow; empty without flow."""
        return {} if self.flow is None else self.flow.manifest.of(FLOW_FIELDS)

    @property
    def fingerprints(self) -> list[str]:
        """Fingerprints of the stores."""
        return [store.manifest.fingerprint for store in (self.frames, self.flow) if store is not None]

    @functools.cached_property
    def num_frames(self) -> dict[str, int]:
        """Number of frames of each video of the store of the network's own input."""
        return _frames(self.first.parts)

    def frames_of(self, videos: Collection[str]) -> ClipSource | None:
        """Frames of some videos; None without a frame store."""
        if self.frames is None:
            return None
        return ClipSource(IMAGE, self.frames.folder.absolute, self.frames.parts_with(set(videos)))

    def flow_of(self, videos: Collection[str]) -> ClipSource | None:
        """Flow of some videos; None without a flow store.

        Raises:
            UsageError: videos have no flow, or for another number of frames.
        """
        if self.flow is None:
            return None
        parts = self.flow.parts_with(set(videos))
        found = _frames(parts)
        if missing := sorted(set(videos) - found.keys()):
            raise UsageError(
                f"{self.flow_url}: {len(missing)} of {len(videos)} training videos have no flow: {some(missing)}. Run "
                "precompute_flow on them too."
            )
        if odd := sorted(video for video in videos if found[video] != self.num_frames[video]):
            here, there = found[odd[0]], self.num_frames[odd[0]]
            raise UsageError(
                f"{self.flow_url}: flow of {here} frames of {odd[0]}, but {shown(self.url)} has {there}. Compute both "
                "from the same videos."
            )
        return ClipSource(FLOW, self.flow.folder.absolute, parts)


def open_clip_stores(options: TrainClipCnnOptions) -> ClipStores:
    """Open the stores that the flags name.

    Raises:
        UsageError: a store does not exist, or both were made with different sizes, preprocessing or sampling.
    """
    frames = flow = None
    if options.frames is not None:
        with storage_errors(options.frames):
            frames = FrameStore.open(options.frames)
    if options.flow is not None:
        with storage_errors(options.flow):
            flow = FlowStore.open(options.flow)
    if frames is not None and flow is not None:
        mine, theirs = (store.manifest.of(ALIGNED) for store in (frames, flow))
        if odd := [f"{name}: {mine[name]} and {theirs[name]}" for name in ALIGNED if mine[name] != theirs[name]]:
            raise UsageError(
                f"{shown(frames.url)} and {shown(flow.url)}: made with different settings ({'; '.join(odd)}). Flow "
                "must be that of the stored frames."
            )
    return ClipStores(frames, flow)


def _frames(parts: Collection[PartVideos]) -> dict[str, int]:
    return {video_id: rows for part in parts for video_id, rows in part.rows.items()}
