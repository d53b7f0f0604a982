"""Training videos of a CNN: selected first, then decoded into a frame store.

The set of training videos is fixed once their frames are stored: a video that could not be decoded then is left out
for the whole training, including all resumed runs.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attn.classes import class_ids
from attn.commands.decode_frames import fill_frames, plan_frames
from attn.commands.evaluate import split_record
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.split_check import present_videos
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import SplitList, read_recordings, read_split
from attn.engine.filling import StorePlan
from attn.errors import UsageError, some
from attn.models.checkpoint import Cnn
from attn.storage.error_messages import shown
from attn.storage.failures import read_failures
from attn.storage.filesystem import join, storage_errors
from attn.storage.ledger import Ledger
from attn.storage.store import FrameStore
from attn.training.cnn_options import TrainCnnOptions
from attn.training.pictures import VideoFrames
from attn.training.run import FRAMES, RUN, SETTLED, TrainRun
from attn.video.found import paths_of
from attn.video.sample import Fps, Sampling, Stride
from attn.video.source import Video, list_videos

log = logging.getLogger(__name__)

TrainingVideosRecord = tuple[dict[str, Any], dict[str, Any]]
"""Record of the training videos: a summary for the model file, and lists of videos for the report."""


@dataclasses.dataclass(frozen=True)
class TrainingVideos:
    """Videos of a split list that a training can use.

    Attributes:
        options: options of the training, with all fractions filled in.
        class_names: class names, in the order of the outputs.
        split: class of each video.
        videos: videos without labels, because the frame store can be used with other lists too.
        listed: name and sha256 of the list.
        recording_of: function from a video to its recording, held out as a whole; None if single videos are held out.
    """

    options: TrainCnnOptions
    class_names: tuple[str, ...]
    split: SplitList
    videos: list[Video]
    listed: Mapping[str, str]
    recording_of: Callable[[str], str] | None

    @property
    def sampling(self) -> Sampling:
        return Fps(self.options.fps) if self.options.fps is not None else Stride(self.options.stride)

    @property
    def decisive(self) -> dict[str, Any]:
        """Entries of `decisive` for the videos; independent of their folder and of the name of the list."""
        listing = "\n".join(f"{video.video_id}\t{video.size}\t{self.split[video.video_id]}" for video in self.videos)
        videos = hashlib.sha256(listing.encode()).hexdigest()[:16]
        return {
            "videos": videos,
            "fraction": self.options.fraction,
            "sampling": repr(self.sampling),
            **holdout_record(self.recording_of),
        }

    def plan(self, run: TrainRun, cnn: Cnn) -> StorePlan:
        """Return the plan of the frame store for a CNN.

        Raises:
            UsageError: the store was made with other settings.
        """
        url, most = self.options.frames or join(run.url, FRAMES), self.options.max_failed_fraction
        return plan_frames(url, self.videos, self.sampling, cnn.input_size, most, cnn.resampling)


def find_training_videos(options: TrainCnnOptions, class_names: tuple[str, ...]) -> TrainingVideos:
    """Find the videos of the split list, or of a fraction of it.

    Args:
        options: options with `videos` and `split`.
        class_names: class names, in the order of the outputs.

    Raises:
        UsageError: videos are missing, or a class has none.
    """
    url, where = str(options.videos), str(options.split)
    found = {video.video_id: video for video in list_videos(url)}
    split = read_split(where, class_names, part="train", present=paths_of(found.values()))
    chosen = take_fraction(split, options.fraction, seed=options.seed)
    present = present_videos(
        chosen, found, store=url, where=where, allow_missing=options.allow_missing, way_out="add them"
    )
    videos = [found[video_id] for video_id in sorted(present)]
    begun = (TrainRun(options.out, {}).read(RUN) or {}).get("decisive", {})
    recording_of = kept_together(read_recordings(where, split, part="train"), present, begun)
    footage = TrainingVideos(options, class_names, present, videos, split_record(where), recording_of)
    check_classes(present, present, class_names, where)
    return footage


def decode_training_videos(footage: TrainingVideos, plan: StorePlan, run: TrainRun) -> VideoFrames | int:
    """Decode the videos that are missing in the store, and split them into training and held-out videos.

    Returns:
        The frames; or an exit code if the store is incomplete or too many videos failed.

    Raises:
        UsageError: no video of a class can be decoded, or a video of a resumed training is not available any more.
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
        check_classes(frames, footage.split, footage.class_names, str(footage.options.split))
        run.write(SETTLED, json.dumps({"frames": frames, "failed": _reasons(lost, plan.ledger)}, ensure_ascii=False))
    elif lost:
        raise UsageError(
            f"{some(lost)}: used by this training before, but unusable now. Repair them, or remove {run.url}."
        )
    return _labelled(footage, VideoFrames(plan.ledger.url, parts, {}, frozenset()))


def training_videos_record(footage: TrainingVideos, frames: VideoFrames, run: TrainRun) -> TrainingVideosRecord:
    """Return the record of the training and held-out videos."""
    return record_of(footage.options, frames, (run.read(SETTLED) or {}).get("failed", {}))


def record_of(options: TrainCnnOptions, frames: VideoFrames, failed: Mapping[str, str]) -> TrainingVideosRecord:
    """Return the record of the training and held-out videos.

    Args:
        options: options of the training, with all fractions filled in.
        frames: frames of the videos.
        failed: reasons by video ID, for listed videos that could not be decoded.
    """
    trained, held = sorted(frames.num_frames.keys() - frames.held), sorted(frames.held)
    ids = json.dumps([trained, held], ensure_ascii=False).encode()
    counts = {"trained": len(trained), "held_out": len(held), "failed": len(failed)}
    summary = {
        "split": split_record(str(options.split)),
        "fraction": options.fraction,
        "seed": options.seed,
        "videos": {**counts, "sha256": hashlib.sha256(ids).hexdigest()},
        "frames": len(frames.labels),
    }
    return summary, {"videos_trained": trained, "videos_held_out": held, "videos_failed": failed}


def _labelled(footage: TrainingVideos, frames: VideoFrames) -> VideoFrames:
    options, ids = footage.options, class_ids(footage.class_names)
    split = {video_id: footage.split[video_id] for video_id in frames.num_frames}
    held = hold_out_videos(split, options.validation_fraction or 0, seed=options.seed, group_of=footage.recording_of)
    if not held:
        log.warning("no class has enough videos to hold one out; the last epoch will be kept")
    rows = sum(frames.num_frames.values())
    log.info("%d frames of %d videos, %d of them held out", rows, len(split), len(held))
    return dataclasses.replace(frames, video_labels={one: ids[name] for one, name in split.items()}, held=held)


def check_classes(videos: Iterable[str], split: SplitList, class_names: Sequence[str], where: str) -> None:
    """Check that every class has a video.

    Args:
        videos: usable videos.
        split: class of each video.
        class_names: class names.
        where: URL of the list, for the message.

    Raises:
        UsageError: some classes have none.
    """
    present = {split[video_id] for video_id in videos}
    if missing := [name for name in class_names if name not in present]:
        raise UsageError(
            f"{shown(where)}: no usable training video of {some(missing)}. Add some, or leave these classes out of "
            "--classes."
        )


def _reasons(videos: Sequence[str], ledger: Ledger) -> dict[str, str]:
    with storage_errors(ledger.url):
        failures = read_failures(ledger.folder)
    return {video: failures[video].message if video in failures else "no record" for video in videos}
