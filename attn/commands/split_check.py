"""Check that the videos of a split list are available."""

import logging
from collections.abc import Iterable, Mapping
from typing import TypeVar

from attn.errors import UsageError, some
from attn.storage.error_messages import shown

log = logging.getLogger(__name__)

Label = TypeVar("Label", str, tuple[str, ...])


def present_videos(
    split: Mapping[str, Label],
    present: Iterable[str],
    *,
    store: str,
    where: str,
    allow_missing: bool,
    way_out: str = "precompute them",
) -> dict[str, Label]:
    """Return the videos of a list that exist in a store or folder.

    Args:
        split: video ID → class name, or names of its classes.
        present: IDs of the existing videos.
        store: URL of the store or folder, for messages.
        where: URL of the list, for messages.
        allow_missing: leave out missing videos with a warning instead of raising an error.
        way_out: instruction on how to add missing videos, for the message.

    Raises:
        UsageError: all videos are missing, or some are and `allow_missing` is false.
    """
    there = set(present)
    missing = sorted(split.keys() - there)
    if not missing:
        return dict(split)
    fact = f"{shown(store)}: {len(missing)} of the {len(split)} videos of {shown(where)} are missing: {some(missing)}"
    if len(missing) == len(split):
        raise UsageError(f"{fact}. Check that both are of the same data set.")
    if not allow_missing:
        raise UsageError(f"{fact}. {way_out.capitalize()}, or give --allow-missing.")
    log.warning("%s. They are left out.", fact)
    return {video_id: name for video_id, name in split.items() if video_id in there}
