"""Recordings that clips were cut from, by their names: v_Archery_g07_c02 (UCF101), v_shooting_07_02 (UCF-11).

Clips of one recording share people and places, so a test on clips of a training recording is too easy.
"""

import posixpath
import re
from collections.abc import Collection, Iterable

_CLIP = re.compile(r"(?P<recording>v_.*[A-Za-z].*_g?\d+)_c?\d+")


def recording_in_name(video_id: str) -> str | None:
    """Recording of a clip, class included; None for other names."""
    match = _CLIP.fullmatch(posixpath.basename(video_id))
    return None if match is None else match["recording"]


def shared_recordings(first: Iterable[str], second: Collection[str]) -> list[tuple[str, str]]:
    """Clips of the second set, in their order, each with a clip of the first set from the same recording."""
    clips = {recording: video_id for video_id in first if (recording := recording_in_name(video_id)) is not None}
    pairs = ((video_id, clips.get(recording_in_name(video_id) or "")) for video_id in second)
    return [(video_id, twin) for video_id, twin in pairs if twin is not None]
