"""Join clips: labelled clips become untrimmed videos with known segments. Neither Ray nor torch is needed."""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence

from attn.commands.join_clips_options import JoinClipsOptions
from attn.commands.split_check import present_videos
from attn.datasets.hmdb51 import Part as ListPart
from attn.datasets.protocol import Split, check_groups
from attn.datasets.split import read_recordings, read_split
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS
from attn.errors import UsageError, some
from attn.storage.error_messages import shown
from attn.storage.writable import check_writable
from attn.synthetic.annotated_video import AnnotatedVideo
from attn.synthetic.join import Joined, join_labelled_clips
from attn.synthetic.join_plan import Clip, JoinSettings
from attn.video.found import Video, paths_of
from attn.video.source import list_videos

log = logging.getLogger(__name__)

SMALLEST, LARGEST = 16, 4096


def join_clips(options: JoinClipsOptions) -> int:
    """Write the untrimmed videos and return the exit code: 0, or 3 if a clip could not be read.

    Raises:
        UsageError: flags, lists, clips or output folder are invalid; nothing was written.
    """
    settings = _settings(options)
    check_writable(options.out)
    found = {video.video_id: video for video in list_videos(options.videos)}
    train, names = _clips(options, found, "train", None)
    test, _ = _clips(options, found, "test", names)
    _check_sides(train, test)
    if unknown := [name for name in options.background if name not in names]:
        raise UsageError(f"--background {some(unknown)}: not in the training list. Choose from {', '.join(names)}.")
    acting = [name for name in names if name not in options.background]
    if not acting:
        raise UsageError("--background: names every class of the training list. Leave out those of the actions.")
    joined = join_labelled_clips(options.out, {"training": train, "test": test}, acting, settings)
    _report(joined)
    return EXIT_FAILED_VIDEOS if joined.failed else 0


def _settings(options: JoinClipsOptions) -> JoinSettings:
    if options.videos_per_part < 1:
        raise UsageError(f"--videos-per-part {options.videos_per_part}: must be at least 1.")
    if options.size % 2 or not SMALLEST <= options.size <= LARGEST:
        raise UsageError(f"--size {options.size}: must be even, from {SMALLEST} to {LARGEST}.")
    low, high = options.idle_s
    if not 0 < low <= high < math.inf:
        raise UsageError(f"--idle-s {low:g} {high:g}: not a range. Give the shortest and the longest time, above 0.")
    names = {field.name for field in dataclasses.fields(JoinSettings)}
    return JoinSettings(**{name: value for name, value in vars(options).items() if name in names})


def _clips(
    options: JoinClipsOptions, found: Mapping[str, Video], part: ListPart, class_names: Sequence[str] | None
) -> tuple[list[Clip], tuple[str, ...]]:
    """Clips of one list, and the names of its classes, sorted."""
    url = options.split[part == "test"]
    listed = read_split(url, class_names, part=part, present=paths_of(found.values()))
    recordings = read_recordings(url, listed, part=part)
    split = present_videos(
        listed,
        found,
        store=options.videos,
        where=url,
        allow_missing=options.allow_missing,
        way_out="add them",
    )
    clips = [Clip(found[one], label, "" if recordings[one] == one else recordings[one]) for one, label in split.items()]
    return clips, tuple(sorted(set(split.values())))


def _check_sides(train: Sequence[Clip], test: Sequence[Clip]) -> None:
    """Refuse a clip, or a recording of which clips are, in both lists."""
    sides = [{clip.video.video_id: clip.label for clip in clips} for clips in (train, test)]
    recordings = {clip.video.video_id: clip.recording or clip.video.video_id for clip in (*train, *test)}
    check_groups(Split("--split", *sides), recordings.__getitem__)


def _report(joined: Joined) -> None:
    """Log what was written."""
    made = joined.made
    for part, videos in joined.videos.items():
        log.info("%s", _summary(part, videos))
    log.info("%d classes: %s", len(made.class_names), ", ".join(made.class_names))
    for what, url in {
        "videos": made.videos,
        "labels of the training videos, without times": made.training_labels,
        "labels of the test videos, without times": made.test_labels,
        "segments of both parts, ActivityNet's form": made.annotation,
        "segments of the test part, THUMOS14's form": made.thumos14,
    }.items():
        log.info("%s: %s", what, shown(url))
    if joined.failed:
        log.warning("%d clips could not be read: %s", len(joined.failed), some(sorted(joined.failed)))


def _summary(part: str, videos: Sequence[AnnotatedVideo]) -> str:
    """Numbers of videos and segments of one part, and their lengths."""
    segments = [one for video in videos for one in video.segments]
    length_s, acting_s = sum(video.duration_s for video in videos), sum(one.end_s - one.start_s for one in segments)
    background = sum(not video.segments for video in videos)
    return (
        f"{part}: {len(videos)} videos, {background} of them background, {length_s / 60:.1f} min; "
        f"{len(segments)} segments, {acting_s / length_s:.0%} of the time"
    )
