"""Real clips joined to untrimmed videos with known segments: actions of labelled clips with idle time between them.

Idle time is that of a class declared as background, or still frames with a slow zoom.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attn.durations import clock
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.synthetic.annotated_video import AnnotatedVideo, write_annotated
from attn.synthetic.join_frames import ClipPlayer
from attn.synthetic.join_plan import Clip, JoinPlan, JoinSettings, Planned
from attn.synthetic.untrimmed_plan import check_plan
from attn.synthetic.untrimmed_set import PARTS, Part, UntrimmedSet, finish_set, new_set, video_name
from attn.video.sandbox.guard import FrameReader

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
RATE_FACTOR = 20


class Joined(NamedTuple):
    """Result of `join_labelled_clips`."""

    made: UntrimmedSet
    videos: dict[Part, list[AnnotatedVideo]]
    """Videos of each part, with their segments."""
    failed: dict[str, str]
    """IDs of clips that could not be read, and why."""


def join_labelled_clips(
    out: str, parts: Mapping[Part, Sequence[Clip]], class_names: Sequence[str], settings: JoinSettings
) -> Joined:
    """Write untrimmed videos made of labelled clips, with labels and temporal annotation; see `untrimmed_set`.

    A video alternates between idle time and whole clips, and has one of four frame rates. Its clips of one class come
    from one recording; a clip may be in several videos of a part. Equal arguments give equal bytes. Frames are decoded
    and encoded one by one, so memory does not grow with the length of clips and videos.

    Args:
        out: URL of the folder of the data set, local or remote.
        parts: clips of each part, also those of the background classes.
        class_names: classes of the actions, in the order of their IDs.
        settings: settings of the videos.

    Raises:
        UsageError: a setting is out of range, a class has no clips in a part, a part would show no action, or the
            folder holds a complete data set or other videos.
    """
    check_plan(class_names, settings.clips, settings.background_share)
    for part in PARTS:
        there = {clip.label for clip in parts[part]}
        if missing := [name for name in (*class_names, *settings.background) if name not in there]:
            raise UsageError(
                f"class {missing[0]!r}: has no {part} clips. Add some, or leave the class out of the lists."
            )
    plans = {
        part: list(JoinPlan(parts[part], class_names, settings, np.random.default_rng((settings.seed, number))))
        for number, part in enumerate(PARTS)
    }
    made = new_set(out, class_names, dict.fromkeys(PARTS, settings.videos_per_part))
    with FrameReader() as reader:
        player = ClipPlayer(reader, settings.size)
        videos: dict[Part, list[AnnotatedVideo]] = {part: _write(made, part, plans[part], player) for part in PARTS}
    finish_set(made, videos)
    return Joined(made, videos, player.failed)


def _write(made: UntrimmedSet, part: Part, plan: Sequence[Planned], player: ClipPlayer) -> list[AnnotatedVideo]:
    """Write the videos of one part; one whose clips cannot be read is left out."""
    started_s = reported_s = time.monotonic()
    videos: list[AnnotatedVideo] = []
    for item, (fps, stretches) in enumerate(plan):
        name = video_name(part, item)
        frames = player.frames(stretches, fps)
        video = write_annotated(join(made.videos, f"{name}.mp4"), name, frames, fps, RATE_FACTOR)
        videos += [] if video is None else [video]
        if (now_s := time.monotonic()) - reported_s > HEARTBEAT_S:
            reported_s, left_s = now_s, (now_s - started_s) / (item + 1) * (len(plan) - item - 1)
            log.info("%d/%d %s videos, ETA %s", item + 1, len(plan), part, clock(left_s))
    return videos
