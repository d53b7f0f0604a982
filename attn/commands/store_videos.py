"""Videos from which a store was made, and the rule by which their frames were sampled."""

from typing import Any

from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.manifest import Manifest
from attn.storage.store import AttentionStore
from attn.video.found import keep_names
from attn.video.sample import Fps, Sampling, Stride
from attn.video.source import Video, find_videos


def videos_of(store: AttentionStore, url: str | None) -> dict[str, Video]:
    """Return the videos of a store by their IDs in it.

    Args:
        store: the store.
        url: URL of the videos; None if they have not moved since precompute.

    Raises:
        UsageError: the store does not say where its videos are, there are none, or they are not those of the store.
    """
    url = url or store.manifest.informative.get("options", {}).get("videos")
    if url is None:
        raise UsageError("the store does not say where its videos are. Give --videos.")
    listed = keep_names(find_videos(url).found, store.video_ids, store.url)
    known = {one.video.video_id: one.video for one in listed}
    if known.keys().isdisjoint(store.video_ids):
        raise UsageError(f"{shown(url)}: none of the videos of the store is there. Give their place as --videos.")
    return known


def sampling_of(manifest: Manifest) -> Sampling:
    """Return the rule by which the frames of a store were sampled."""
    made: dict[str, Any] = manifest.sampling
    return Fps(made["fps"]) if "fps" in made else Stride(made["stride"])
