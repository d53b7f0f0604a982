"""The videos that a CNN is trained on: chosen before any work, then decoded into a frame store.

What a training learns from is settled once, when its frames are there: a video that could not be read then is left
out of it for good, however often the training is resumed.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attn.classes import class_ids
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import SplitList, read_split
from attn.engine.decode_frames import fill_frames, plan_frames
from attn.engine.evaluate import split_record
from attn.engine.filling import StorePlan
from attn.engine.options import TrainCnnOptions
from attn.engine.split_check import present_videos
from attn.engine.training.run import FRAMES, SETTLED, TrainRun
from attn.errors import UsageError, some
from attn.stages.pictures import VideoFrames
from attn.storage.error_messages import shown
from attn.storage.failures import read_failures
from attn.storage.filesystem import join, storage_errors
from attn.storage.ledger import Ledger
from attn.storage.store import FrameStore
from attn.video.found import paths_of
from attn.video.sample import Fps, Sampling, Stride
from attn.video.source import Video, list_videos

log = logging.getLogger(__name__)

TrainingVideosRecord = tuple[dict[str, Any], dict[str, Any]]
"""Record of what was learnt from: a summary for the checkpoint, and lists of videos for the report."""


@dataclasses.dataclass(frozen=True)
class TrainingVideos:
    """The videos of a split list that a training may use.

    Attributes:
        options: of the training, with every share filled in.
        class_names: of the outputs.
        split: their classes.
        videos: where they lie, without labels: the frames serve other lists too.
        listed: name and sha256 of the list.
    """

    options: TrainCnnOptions
    class_names: tuple[str, ...]
    split: SplitList
    videos: list[Video]
    listed: Mapping[str, str]

    @property
    def sampling(self) -> Sampling:
        return Fps(self.options.fps) if self.options.fps is not None else Stride(self.options.stride)

    @property
    def decisive(self) -> dict[str, Any]:
        """Facts that decide what is learnt: not where the videos lie, and not who listed them."""
        listing = "\n".join(f"{video.video_id}\t{video.size}\t{self.split[video.video_id]}" for video in self.videos)
        videos = hashlib.sha256(listing.encode()).hexdigest()[:16]
        return {"videos": videos, "fraction": self.options.fraction, "sampling": repr(self.sampling)}

    def plan(self, run: TrainRun, input_size: int) -> StorePlan:
        """How the frames come to stand in the store.

        Raises:
            UsageError: the store holds something else.
        """
        url, most = self.options.frames or join(run.url, FRAMES), self.options.max_failed_fraction
        return plan_frames(url, self.videos, self.sampling, input_size, most)


def find_training_videos(options: TrainCnnOptions, class_names: tuple[str, ...]) -> TrainingVideos:
    """The videos of a list, or a share of them, where they lie.

    Args:
        options: with `videos` and `split`.
        class_names: of the outputs.

    Raises:
        UsageError: some are not there; a class has none.
    """
    url, where = str(options.videos), str(options.split)
    found = {video.video_id: video for video in list_videos(url)}
    split = read_split(where, class_names, part="train", present=paths_of(found.values()))
    chosen = take_fraction(split, options.fraction, seed=options.seed)
    present = present_videos(
        chosen, found, store=url, where=where, allow_missing=options.allow_missing, way_out="add them"
    )
    videos = [found[video_id] for video_id in sorted(present)]
    footage = TrainingVideos(options, class_names, present, videos, split_record(where))
    _check_classes(present, footage)
    return footage


def decode_training_videos(footage: TrainingVideos, plan: StorePlan, run: TrainRun) -> VideoFrames | int:
    """Decodes what the store lacks, and settles what is learnt from and what is held out.

    Returns:
        The frames, or the exit code where the store could not be filled, or too many videos cannot be read.

    Raises:
        UsageError: a class has no video that can be read; one of a resumed training cannot be read any more.
    """
    settled = run.read(SETTLED)
    if settled is not None:
        plan = dataclasses.replace(plan, videos=[one for one in plan.videos if one.video_id in settled["frames"]])
    if code := fill_frames(plan):
        return code
    wanted = {video.video_id for video in plan.videos}
    parts = FrameStore.open(plan.ledger.url).parts_with(wanted)
    frames = {video_id: rows for part in parts for video_id, rows in part.rows.items()}
    lost = sorted(wanted - frames.keys())
    if settled is None:
        _check_classes(frames, footage)
        run.write(SETTLED, json.dumps({"frames": frames, "failed": _reasons(lost, plan.ledger)}, ensure_ascii=False))
    elif lost:
        raise UsageError(f"{some(lost)}: no longer to be read, but learnt from before; mend them or remove {run.url}")
    return _labelled(footage, VideoFrames(plan.ledger.url, parts, {}, frozenset()))


def training_videos_record(footage: TrainingVideos, frames: VideoFrames, run: TrainRun) -> TrainingVideosRecord:
    """Record of what a training learns from."""
    failed = (run.read(SETTLED) or {}).get("failed", {})
    trained, held = sorted(frames.num_frames.keys() - frames.held), sorted(frames.held)
    ids = json.dumps([trained, held], ensure_ascii=False).encode()
    counts = {"trained": len(trained), "held_out": len(held), "failed": len(failed)}
    summary = {
        "split": dict(footage.listed),
        "fraction": footage.options.fraction,
        "seed": footage.options.seed,
        "videos": {**counts, "sha256": hashlib.sha256(ids).hexdigest()},
        "frames": len(frames.labels),
    }
    return summary, {"videos_trained": trained, "videos_held_out": held, "videos_failed": failed}


def _labelled(footage: TrainingVideos, frames: VideoFrames) -> VideoFrames:
    options, ids = footage.options, class_ids(footage.class_names)
    split = {video_id: footage.split[video_id] for video_id in frames.num_frames}
    held = hold_out_videos(split, options.validation_fraction or 0, seed=options.seed)
    if not held:
        log.warning("no class can spare a video for validation; the last epoch will be kept")
    rows = sum(frames.num_frames.values())
    log.info("%d frames of %d videos, %d of them held out", rows, len(split), len(held))
    return dataclasses.replace(frames, video_labels={one: ids[name] for one, name in split.items()}, held=held)


def _check_classes(videos: Iterable[str], footage: TrainingVideos) -> None:
    """Refuses classes of which nothing could be learnt."""
    present = {footage.split[video_id] for video_id in videos}
    if missing := [name for name in footage.class_names if name not in present]:
        where = shown(str(footage.options.split))
        raise UsageError(
            f"{where} has no video to learn {some(missing)} from that is there and can be read; "
            "add some, or give --classes without"
        )


def _reasons(videos: Sequence[str], ledger: Ledger) -> dict[str, str]:
    with storage_errors(ledger.url):
        failures = read_failures(ledger.fs, ledger.root)
    return {video: failures[video].message if video in failures else "no record" for video in videos}
