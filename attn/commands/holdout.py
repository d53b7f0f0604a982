"""Recordings whose clips are held out together, unless a training to resume held out single videos."""

from collections.abc import Callable, Mapping
from typing import Any

from attn.datasets.split import SplitList

HELD_OUT = "held_out"
"""Key in `decisive` of a training that holds out whole recordings."""


def kept_together(
    recordings: Mapping[str, str], split: SplitList, begun: Mapping[str, Any]
) -> Callable[[str], str] | None:
    """Function from a video to its recording; None if videos are held out singly.

    They are if each is its own recording, or if the training to resume began before recordings were known.

    Args:
        recordings: recording of each listed video.
        split: videos that the training uses.
        begun: `decisive` of the training to resume; empty without one.
    """
    singly = len({(name, recordings[video_id]) for video_id, name in split.items()}) == len(split)
    return None if singly or (begun and HELD_OUT not in begun) else recordings.__getitem__


def holdout_record(recording_of: Callable[[str], str] | None) -> dict[str, str]:
    """Entry of `decisive`; empty if single videos are held out, as before recordings were known."""
    return {} if recording_of is None else {HELD_OUT: "recordings"}
