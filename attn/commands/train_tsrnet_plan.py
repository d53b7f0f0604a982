"""Plan of a TSRNet's training: read and check all inputs before anything is started or written."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from attn.classes import class_ids
from attn.commands.evaluate import split_record
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.local_folder import local_folder
from attn.commands.split_check import present_videos
from attn.commands.video_labels import read_classes, read_labels, read_trimmed, recordings_of
from attn.datasets.entries import LabelSets
from attn.datasets.fractions import hold_out_videos
from attn.errors import UsageError, refuse_flag
from attn.models.tsrnet_file import NAME, load_start, load_tsrnet, sha256_of
from attn.schema import FEATURES
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, storage_errors
from attn.storage.location import Location
from attn.storage.manifest import FEATURE_FIELDS
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_shape
from attn.training.run import TrainRun, digest
from attn.training.tsrnet_job import TsrnetJob
from attn.training.tsrnet_options import TrainTsrnetOptions
from attn.training.tsrnet_training import new_net
from attn.training.video_table import VideoTable


def make_tsrnet_training(options: TrainTsrnetOptions) -> tuple[TrainRun, TsrnetJob, AttentionStore]:
    """Plan a training: read the inputs that the flags name and check that they are consistent.

    Raises:
        UsageError: an input is missing or invalid, or contradicts another one.
    """
    options.check_workers()
    if (options.trimmed is None) != (options.trimmed_split is None):
        given, missing = (
            ("--trimmed-split", "--trimmed") if options.trimmed is None else ("--trimmed", "--trimmed-split")
        )
        raise UsageError(f"{given}: needs {missing}. Give both, or neither for a training without transfer.")
    options.check(trimmed=options.trimmed is not None)
    cache = options.cache and local_folder(options.cache, "--cache")
    store, num_frames = _opened(options.store, options)
    names = read_classes(options.labels, options.classes, store.manifest.class_names)
    listed = read_labels(options.labels, names, num_frames)
    recordings = recordings_of(options.labels, listed)
    listed = present_videos(
        listed, num_frames, store=options.store, where=options.labels, allow_missing=options.allow_missing
    )
    several = any(len(classes) != 1 for classes in listed.values())
    # Recordings are kept together within a class. Videos of several classes are dealt as if of one.
    dealt = {video_id: "" if several else classes[0] for video_id, classes in listed.items()}
    recording_of = kept_together(recordings, dealt, {})
    held = hold_out_videos(dealt, options.holdout_fraction, seed=options.seed, group_of=recording_of)
    train, held_out = (
        _table({one: listed[one] for one in listed if (one in held) == wanted}, num_frames, names)
        for wanted in (False, True)
    )
    _check_classes(options, train, held_out, several)
    other, trimmed = _trimmed(options, store, names)
    init_sha256 = _sha256_of_start(options, len(names), tensor_shape(store.manifest.schema.field(FEATURES))[0])
    channels = tensor_shape(store.manifest.schema.field(FEATURES))[0]
    decisive = {
        **{field.name: getattr(options, field.name) for field in dataclasses.fields(TsrnetConfig)},
        "fingerprint": store.manifest.fingerprint,
        "class_names": names,
        "videos": digest([train.record, held_out.record]),
        "trimmed": None if trimmed is None or other is None else digest([trimmed.record, other.manifest.fingerprint]),
        "init": init_sha256,
        **holdout_record(recording_of),
    }
    run = TrainRun(join(options.out, NAME), decisive)
    run.check_folder()
    job = TsrnetJob(
        options=options,
        store_url=store.folder.absolute,
        trimmed_url=None if other is None else other.folder.absolute,
        train=train,
        held_out=held_out,
        trimmed=trimmed,
        multi_label=several,
        class_names=names,
        num_channels=channels,
        init=None if options.init is None else Location.at(options.init).absolute,
        init_sha256=init_sha256,
        sources=_sources(options, other),
        cache_folder=cache,
        own_key=run.name,
        run_url=run.url,
    )
    return run, job, store


def _opened(url: str, options: TrainTsrnetOptions) -> tuple[AttentionStore, dict[str, int]]:
    """Store of features, and the number of frames of each of its videos."""
    with storage_errors(url):
        store = AttentionStore.open(url, allow_partial=options.allow_partial)
        num_frames = store.num_frames
    store.check_columns([FEATURES])
    return store, num_frames


def _sources(options: TrainTsrnetOptions, trimmed: AttentionStore | None) -> dict[str, Any]:
    """Record of the lists that a training learns from, and of the store of the trimmed videos."""
    sources: dict[str, Any] = {"labels": split_record(options.labels)}
    if trimmed is not None:
        sources["trimmed"] = {**split_record(str(options.trimmed_split)), "store": trimmed.manifest.fingerprint}
    return sources


def _trimmed(
    options: TrainTsrnetOptions, store: AttentionStore, names: tuple[str, ...]
) -> tuple[AttentionStore | None, VideoTable | None]:
    """Store of the trimmed videos, and the table of those of the shared classes."""
    if options.trimmed is None or options.trimmed_split is None:
        refuse_flag("class_map", options.class_map, "needs --trimmed", options.class_map is not None)
        return None, None
    other, num_frames = _opened(options.trimmed, options)
    here, there = store.manifest.of(FEATURE_FIELDS), other.manifest.of(FEATURE_FIELDS)
    if differing := [name for name in FEATURE_FIELDS if here[name] != there[name]]:
        raise UsageError(
            f"{shown(options.trimmed)}: features of another CNN than in {shown(options.store)} "
            f"({', '.join(differing)}). Precompute both with the same weights and input."
        )
    found = read_trimmed(options.trimmed_split, names, options.class_map, num_frames)
    kept = present_videos(
        {video_id: (names[number],) for video_id, number in found.items()},
        num_frames,
        store=options.trimmed,
        where=options.trimmed_split,
        allow_missing=options.allow_missing,
    )
    refuse_flag(
        "estimate", options.estimate, "needs two trimmed videos", options.estimate == "unbiased" and len(kept) < 2
    )
    return other, _table(kept, num_frames, names)


def _table(classes: LabelSets, num_frames: Mapping[str, int], class_names: Collection[str]) -> VideoTable:
    ids = class_ids(tuple(class_names))
    sets = {video_id: [ids[name] for name in names] for video_id, names in classes.items()}
    return VideoTable.of_label_sets(sets, num_frames, num_classes=len(ids))


def _check_classes(options: TrainTsrnetOptions, train: VideoTable, held_out: VideoTable, several: bool) -> None:
    where = shown(options.labels)
    if train.targets.any(0).sum() < 2:
        raise UsageError(f"{where}: the training videos have fewer than two classes. Give at least two.")
    if several and held_out.video_ids and not held_out.targets.any():
        raise UsageError(
            f"{where}: no held-out video has a class. List more videos of the classes, or give --holdout-fraction 0."
        )


def _sha256_of_start(options: TrainTsrnetOptions, num_classes: int, num_channels: int) -> str | None:
    """SHA-256 of the network to start from, after a check that it fits."""
    if options.init is None:
        return None
    start = load_tsrnet(options.init)
    try:
        load_start(new_net(options, num_classes=num_classes, num_channels=num_channels), start.net)
    except RuntimeError as error:
        raise UsageError(
            f"--init {shown(options.init)}: a network of other layers or widths ({start.net.architecture}). Give the "
            "same --attention, --attention-dim and --hidden-dim, and features of as many channels."
        ) from error
    return sha256_of(options.init)
