"""Checks and plan of precompute, made before any work."""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence

from attn.classes import class_ids, spelling
from attn.commands.precompute_from_flow import check_flow_cnn, flow_stage, listed_flow_videos, open_flow_store
from attn.commands.precompute_manifest import attention_manifest
from attn.commands.precompute_options import FillOptions, PrecomputeOptions
from attn.commands.split_check import present_videos
from attn.datasets.own_list import read_labels
from attn.datasets.split import classes_of_list, read_label_sets
from attn.datasets.ucf101 import read_class_index
from attn.engine.filling import StorePlan
from attn.engine.pool_flags import check_pool
from attn.engine.terminal import say
from attn.errors import UsageError, refuse_flag, some
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.schema import GRADCAM, OF_CLASSES
from attn.stages.attention import ComputeMaps
from attn.stages.decode_videos import DecodeVideos
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.left_out import NOTHING, LeftOut
from attn.storage.manifest import Manifest
from attn.storage.writable import check_writable
from attn.video.found import keep_names, paths_of
from attn.video.sample import sampling_record
from attn.video.source import Video, find_videos, label_videos
from attn.video.transform import Resampling

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Plan(StorePlan):
    """Plan of an attention store, with the CNN that computes its rows."""

    manifest: Manifest
    options: PrecomputeOptions
    cnn: Cnn

    @property
    def resampling(self) -> Resampling:
        """Part of a frame that the CNN sees."""
        return self.cnn.resampling

    def computation(self, columns: Sequence[str], device: str) -> ComputeMaps:
        """Computation of some columns in this process."""
        return ComputeMaps(self.cnn, **{**self.compute_settings, "columns": tuple(columns), "device": device})

    @property
    def compute_settings(self) -> dict[str, object]:
        """Settings of `attn.stages.attention.ComputeMaps`, except for the device."""
        return {
            "columns": self.manifest.columns,
            "precision": self.options.precision,
            "alpha_reduce": self.options.alpha_reduce,
            "map_kind": self.options.map_kind,
        }


def make_plan(options: PrecomputeOptions, *, cnn: Cnn | None = None, labelled: bool = True) -> Plan:
    """Read the inputs and check that they are consistent.

    Args:
        options: flags of precompute.
        cnn: CNN of `--weights`, if it is loaded already.
        labelled: whether to label the videos, from their folders, tar shards and lists.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    _check_numbers(options)
    if (options.videos is None) == (options.flow is None):
        raise UsageError("--videos or --flow: exactly one is required. Give one of them.")
    check_writable(options.out)
    if options.flow is not None:
        return _plan_of_flow(options)
    cnn = cnn or _load(options)
    check_input_size(cnn)
    labels = read_labels(options.labels, cnn.class_names) if options.labels else {}
    ledger = Ledger.at(options.out)
    videos, left_out = find_labelled(options, ledger, cnn.class_names, labels, labelled=labelled)
    sampling = options.sampling
    manifest = attention_manifest(options, cnn, sampling_record(sampling))
    ledger.check(manifest, overwrite=options.overwrite)
    stage = DecodeVideos(
        sampling,
        cnn.input_size,
        options.batch_size,
        decoder=options.decoder,
        timeout_s=options.decode_timeout_s,
        resampling=cnn.resampling,
    )
    return _plan(options, cnn, videos, manifest, ledger, stage, left_out=left_out)


def _plan_of_flow(options: PrecomputeOptions) -> Plan:
    """Plan on stacks of a flow store, which decides rows, sampling and preprocessing."""
    store = open_flow_store(options)
    cnn = _load(options)
    flow = check_flow_cnn(options, cnn, store)
    check_input_size(cnn)
    videos = listed_flow_videos(options, cnn.class_names, store)
    ledger, stage = Ledger.at(options.out), flow_stage(options, videos, store, flow)
    manifest = attention_manifest(options, cnn, store.manifest.sampling)
    ledger.check(manifest, overwrite=options.overwrite)
    return _plan(options, cnn, videos, manifest, ledger, stage)


def _plan(
    options: PrecomputeOptions,
    cnn: Cnn,
    videos: list[Video],
    manifest: Manifest,
    ledger: Ledger,
    stage: DecodeVideos,
    *,
    left_out: LeftOut = NOTHING,
) -> Plan:
    return Plan(
        videos=videos,
        manifest=manifest,
        ledger=ledger,
        stage=stage,
        part_mb=options.part_mb,
        max_failed_fraction=options.max_failed_fraction,
        go_on=how_to_resume(options),
        left_out=left_out,
        options=options,
        cnn=cnn,
    )


def find_labelled(
    options: PrecomputeOptions,
    ledger: Ledger,
    class_names: tuple[str, ...],
    labels: Mapping[str, str],
    *,
    labelled: bool = True,
) -> tuple[list[Video], LeftOut]:
    """Find the videos with their labels, and files that may be unrecognised videos.

    Args:
        options: flags of precompute.
        ledger: ledger of the store, whose videos keep their names.
        class_names: classes of the network.
        labels: labels of videos whose folder is not named after a class.
        labelled: whether to label the videos.

    Raises:
        UsageError: a list or a video is invalid.
    """
    say(f"{options.videos}: listing videos")
    listing = find_videos(str(options.videos))
    found = keep_names(listing.found, _held(ledger, options), options.out)
    videos = label_videos(found, class_names if labelled else (), labels)
    if options.lists:
        videos = _listed(options, videos, class_names)
    if labelled:
        _log_unlabelled(videos)
    return videos, listing.left_out


def how_to_resume(options: FillOptions) -> str:
    """Advice on how to resume a run."""
    return f"run the same command{' without --overwrite' if options.overwrite else ''} to resume"


def _load(options: PrecomputeOptions) -> Cnn:
    names = read_class_index(options.classes) if options.classes else None
    say(f"{options.weights}: loading the CNN")
    return load_weights(
        options.weights,
        backbone=options.backbone,
        classes=names,
        mean=options.mean,
        std=options.std,
        input_size=options.input_size,
        # Columns without an axis of classes do not depend on the classifier, which a file of features lacks.
        new_classifier=not OF_CLASSES & {*options.columns},
        of_flow=options.flow is not None,
    )


def _log_unlabelled(videos: Sequence[Video]) -> None:
    """Log the number of unlabelled videos. They are processed and can be scored, but metrics require labels."""
    if without := [video.video_id for video in videos if video.label is None]:
        log.info(
            "%d of %d videos have no label: %s. Their folders are not named after classes; --labels can label them.",
            len(without),
            len(videos),
            some(without),
        )


def _held(ledger: Ledger, options: PrecomputeOptions) -> Collection[str]:
    """IDs of the videos in the store; empty for a new store or with `--overwrite`."""
    with storage_errors(options.out):
        return {} if options.overwrite or not ledger.begun else ledger.completed()


def _listed(options: PrecomputeOptions, videos: list[Video], class_names: tuple[str, ...]) -> list[Video]:
    """Videos named in at least one list. Unlabelled videos get the label of the list, if it is a class of the CNN."""
    named: dict[str, str | None] = {}
    for url in options.lists:
        found = paths_of(videos)
        split = _classes_of(url, found, class_names, typos=bool(OF_CLASSES & {*options.columns}))
        present_videos(dict.fromkeys(split, ""), found, store=str(options.videos), where=url, allow_missing=True)
        named |= split
    ids = class_ids(class_names)
    return [
        dataclasses.replace(video, label=ids.get(named[video.video_id] or "") if video.label is None else video.label)
        for video in videos
        if video.video_id in named
    ]


def _classes_of(
    url: str, found: Mapping[str, str], class_names: tuple[str, ...], *, typos: bool
) -> dict[str, str | None]:
    """Videos of a list and their classes; without classes if the list is about others than the CNN's.

    A video of several classes, or of none, has no label in the store.

    With `typos`, a number or one class of the CNN shows that its classes are meant, and any other class is an error.
    Otherwise the list is about the CNN's classes only if it names no others: columns without an axis of classes fit
    any list, and lists of other classes share some names with ImageNet's.
    """
    split, known = read_label_sets(url, part="both", present=found), {spelling(name) for name in class_names}
    some_known = any(name.isdecimal() or spelling(name) in known for names in split.values() for name in names)
    if some_known and (typos or classes_of_list(url, class_names, part="both") == class_names):
        meant = read_label_sets(url, class_names, part="both", present=found, whose=" of the CNN")
        return {video_id: names[0] if len(names) == 1 else None for video_id, names in meant.items()}
    log.info("%s: its classes are not those of the CNN, so its videos are stored without labels", url)
    return dict.fromkeys(split)


def _check_numbers(options: PrecomputeOptions) -> None:
    check_fill_numbers(options)
    if options.input_size is not None and options.input_size < 1:
        raise UsageError(f"--input-size {options.input_size}: must be at least 1 pixel.")
    if not options.columns:
        raise UsageError("--columns: empty. Name at least one of maps, logits, features, grid.")
    if options.map_kind != GRADCAM and options.alpha_reduce != "mean":
        raise UsageError(f"--alpha-reduce {options.alpha_reduce}: --map-kind {options.map_kind} has no gradients.")
    if "attention" in options.columns:
        raise UsageError("--columns attention: needs --clip. Give the length and the step of a clip.")
    for name, usual in (("clip_every", None), ("crops", 1)):
        refuse_flag(name, getattr(options, name), "needs --clip", getattr(options, name) != usual)


def check_fill_numbers(options: FillOptions) -> None:
    """Refuse numbers that are out of range in the flags of all jobs that fill a store.

    Raises:
        UsageError: the first such flag.
    """
    if options.batch_size < 1:
        raise UsageError(f"--batch-size {options.batch_size}: must be at least 1.")
    if options.part_mb < 1:
        raise UsageError(f"--part-mb {options.part_mb}: must be at least 1.")
    if not options.decode_timeout_s > 0:
        raise UsageError(f"--decode-timeout-s {options.decode_timeout_s:g}: must be positive.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: must be from 0 to 1.")
    check_pool(options.actors, options.gpus_per_actor)
