"""A split list against what is there to be used."""

import logging
from collections.abc import Iterable

from attn.datasets.split import SplitList
from attn.errors import UsageError, some
from attn.storage.reasons import shown

log = logging.getLogger(__name__)


def present_videos(
    split: SplitList,
    present: Iterable[str],
    *,
    store: str,
    where: str,
    allow_missing: bool,
    way_out: str = "precompute them",
) -> SplitList:
    """The videos of a list that a store, or a folder of videos, has.

    Args:
        split: the list.
        present: ids of the videos that are there.
        store: URL of the store, for messages.
        where: URL of the list, for messages.
        allow_missing: leave out what is missing instead of refusing.
        way_out: how to have them all.

    Raises:
        UsageError: videos are missing; all of them are.
    """
    there = set(present)
    missing = sorted(split.keys() - there)
    if not missing:
        return split
    lacks = f"{shown(store)} lacks {len(missing)} of the {len(split)} videos of {shown(where)}: {some(missing)}"
    if len(missing) == len(split):
        raise UsageError(f"{lacks}; is it of another data set?")
    if not allow_missing:
        raise UsageError(f"{lacks}; {way_out}, or say --allow-missing")
    log.warning("%s; they are left out", lacks)
    return {video_id: name for video_id, name in split.items() if video_id in there}
