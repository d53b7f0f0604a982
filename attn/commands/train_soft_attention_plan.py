"""Plan of a soft-attention LSTM's training: read and check all inputs before anything is started or written."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from attn.classes import class_ids
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.local_folder import local_folder
from attn.commands.split_check import present_videos
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import LabelSets, classes_of_list, read_label_sets, read_recordings
from attn.errors import UsageError
from attn.models.soft_attention_file import NAME
from attn.schema import GRID
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, storage_errors
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_shape
from attn.training.run import RUN, TrainRun, digest
from attn.training.soft_attention_job import SoftAttentionJob
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.video_table import VideoTable


def make_soft_attention_training(
    options: TrainSoftAttentionOptions,
) -> tuple[TrainRun, SoftAttentionJob, AttentionStore]:
    """Plan a training: read the inputs that the flags name and check that they are consistent.

    Raises:
        UsageError: an input is missing or invalid, or contradicts another one.
    """
    options.check_workers()
    cache = options.cache and local_folder(options.cache, "--cache")
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        num_frames = store.num_frames
    store.check_columns([GRID])
    names = classes_of_list(options.split, store.manifest.class_names, part="train")
    listed = read_label_sets(options.split, names, part="train", present=list(num_frames))
    several = any(len(classes) != 1 for classes in listed.values())
    options.check(multi_label=several)
    # For the fraction, a video counts as one of its first class, and those without a class as one more class.
    first = {video_id: classes[0] if classes else "" for video_id, classes in listed.items()}
    split = present_videos(
        take_fraction(first, options.fraction, seed=options.seed),
        num_frames,
        store=options.store,
        where=options.split,
        allow_missing=options.allow_missing,
    )
    begun = (TrainRun(join(options.out, NAME), {}).read(RUN) or {}).get("decisive", {})
    # Recordings are kept together within a class. Clips of one recording may differ in their first class.
    dealt = dict.fromkeys(split, "") if several else split
    recording_of = kept_together(read_recordings(options.split, listed, part="train"), dealt, begun)
    held = hold_out_videos(dealt, options.holdout_fraction, seed=options.seed, group_of=recording_of)
    if options.retrain and not held:
        raise UsageError(
            "--retrain: needs held-out videos, whose best validation sets the loss to reach. List more videos."
        )
    train, held_out = (
        _table(
            {video_id: listed[video_id] for video_id in split if (video_id in held) == wanted},
            num_frames,
            names,
            several,
        )
        for wanted in (False, True)
    )
    _check_classes(options, train, held_out)
    _check_lengths(options, train, store)
    decisive = {
        **{field.name: getattr(options, field.name) for field in dataclasses.fields(SoftAttentionConfig)},
        "fingerprint": store.manifest.fingerprint,
        "class_names": names,
        "videos": digest([train.record, held_out.record]),
        **holdout_record(recording_of),
    }
    run = TrainRun(join(options.out, NAME), decisive)
    run.check_folder()
    job = SoftAttentionJob(
        options=options,
        store_url=store.folder.absolute,
        train=train,
        held_out=held_out,
        class_names=names,
        num_channels=tensor_shape(store.manifest.schema.field(GRID))[0],
        map_shape=store.manifest.map_shape,
        cache_folder=cache,
        cached=None if cache is None else _unlabelled(num_frames),
        own_key=run.name,
        run_url=run.url,
    )
    return run, job, store


def _unlabelled(num_frames: Mapping[str, int]) -> VideoTable:
    return VideoTable.of(dict.fromkeys(sorted(num_frames), 0), num_frames)


def _table(classes: LabelSets, num_frames: Mapping[str, int], class_names: Sequence[str], several: bool) -> VideoTable:
    ids = class_ids(class_names)
    if several:
        sets = {video_id: [ids[name] for name in names] for video_id, names in classes.items()}
        return VideoTable.of_label_sets(sets, num_frames, num_classes=len(class_names))
    return VideoTable.of({video_id: ids[name] for video_id, (name,) in classes.items()}, num_frames)


def _check_classes(options: TrainSoftAttentionOptions, train: VideoTable, held_out: VideoTable) -> None:
    where = shown(options.split)
    if train.targets.ndim == 1 and len(np.unique(train.targets)) < 2:
        raise UsageError(f"{where}: all training videos have one class. Give at least two classes.")
    if train.targets.ndim > 1 and not train.targets.any():
        raise UsageError(f"{where}: no training video has a class. List videos of the classes too.")
    if held_out.video_ids and held_out.targets.ndim > 1 and not held_out.targets.any():
        raise UsageError(
            f"{where}: no held-out video has a class. List more videos of the classes, or give --holdout-fraction 0."
        )


def _check_lengths(options: TrainSoftAttentionOptions, train: VideoTable, store: AttentionStore) -> None:
    """Check that at least one video has all frames of a window; shorter ones repeat their last frame."""
    needed, longest = (options.window_frames - 1) * options.skip + 1, int(train.num_frames.max())
    if longest < needed:
        closer = ", a higher --fps" if options.skip > 1 else ""
        raise UsageError(
            f"--window-frames {options.window_frames}: a window needs {needed} frames, but the longest training video "
            f"of {shown(store.url)} has {longest}. Give a smaller --window-frames{closer}, or precompute with a "
            "smaller --stride."
        )
