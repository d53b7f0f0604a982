"""Plan of the training of a network of clips: read and check all inputs before anything is started or written."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from attn.classes import class_ids
from attn.commands.clip_stores import ClipStores, open_clip_stores
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.local_folder import local_folder
from attn.commands.split_check import present_videos
from attn.datasets import something_v2
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import SplitList, classes_of_list, read_recordings, read_split
from attn.datasets.ucf101 import read_class_index
from attn.errors import UsageError, refuse_flag
from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_backbone import map_shape, plan_of
from attn.models.clip_file import TrainedClipCnn, load_clip_cnn
from attn.models.clip_input import ClipInput
from attn.models.clip_weights import read_clip_weights
from attn.models.weights_file import WeightsFile
from attn.stages.clip_config import ClipConfig
from attn.storage.error_messages import shown
from attn.training.clip_job import ClipJob
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.run import RUN, TrainRun, digest
from attn.training.video_table import VideoTable


class PlannedClipTraining(NamedTuple):
    """A training with all its inputs read.

    Attributes:
        run: run folder.
        job: data for the workers.
        net: network with its initial weights.
        teacher: network of flow; None without one.
        flow: kind of flow, by the fields of the manifest; empty without flow.
    """

    run: TrainRun
    job: ClipJob
    net: ClipCnn
    teacher: TrainedClipCnn | None
    flow: dict[str, object]


def make_clip_training(options: TrainClipCnnOptions) -> PlannedClipTraining:
    """Plan a training: read the inputs that the flags name and check that they are consistent.

    Raises:
        UsageError: an input is missing or invalid, or contradicts another one.
    """
    _check_flags(options)
    plan = plan_of(options.backbone)
    cache = options.cache and local_folder(options.cache, "--cache")
    teacher = None if options.teacher is None else load_clip_cnn(options.teacher)
    stores = open_clip_stores(options)
    names, split = _videos(options, stores, teacher)
    begun = (TrainRun(options.out, {}).read(RUN) or {}).get("decisive", {})
    recording_of = kept_together(read_recordings(options.split, split, part="train"), split, begun)
    held = hold_out_videos(split, options.holdout_fraction, seed=options.seed, group_of=recording_of)
    ids = class_ids(names)
    train, held_out = (
        VideoTable.of({one: ids[name] for one, name in split.items() if (one in held) == wanted}, stores.num_frames)
        for wanted in (False, True)
    )
    taken = _input(options, stores, plan.side)
    shape = map_shape(options.backbone, taken.clip_shape)
    if teacher is not None:
        _check_teacher(options, teacher, stores, names, taken, shape)
    weights = None if options.weights is None else read_clip_weights(options.weights, options.backbone)
    net = _network(options, len(names), weights)
    config = [field.name for field in dataclasses.fields(ClipConfig)]
    decisive = {
        **{name: getattr(options, name) for name in (*config, "modality", "fraction")},
        "class_names": names,
        "input": dataclasses.asdict(taken),
        "stores": stores.fingerprints,
        "weights": weights and weights.sha256[:16],
        "teacher": teacher and teacher.sha256[:16],
        "videos": digest([train.record, held_out.record]),
        **holdout_record(recording_of),
    }
    run = TrainRun(options.out, decisive)
    job = ClipJob(
        options=options,
        architecture=net.architecture,
        input=taken,
        frames=stores.frames_of(split),
        flow=stores.flow_of(split),
        train=train,
        held_out=held_out,
        class_names=names,
        cache_folder=cache,
        own_key=run.name,
        run_url=run.url,
    )
    return PlannedClipTraining(run, job, net, teacher, stores.flow_fields)


def _check_flags(options: TrainClipCnnOptions) -> None:
    options.check()
    options.check_workers()
    refuse_flag("fraction", options.fraction, "must be above 0 and at most 1", not 0 < options.fraction <= 1)
    rgb, taught = options.modality == "rgb", options.teacher is not None
    wanted = {
        "frames": (rgb, "--modality rgb"),
        "flow": (not rgb or taught, "--modality flow, or --teacher"),
        "teacher": (rgb, "--modality rgb"),
    }
    for name, (used, by) in wanted.items():
        given = getattr(options, name) is not None
        if given and not used:
            raise UsageError(f"--{name}: only used with {by}. Leave it out.")
        if used and not given and name != "teacher":
            raise UsageError(f"--{name}: missing, although {by} needs it. Give a store.")
    if taught and options.attention == "none":
        raise UsageError("--teacher: a network without attention has no map to distil it into. Change --attention.")
    for name in ("shuffle_teacher", "pool_teacher_maps"):
        refuse_flag(name, getattr(options, name), "needs --teacher", getattr(options, name) and not taught)


def _videos(
    options: TrainClipCnnOptions, stores: ClipStores, teacher: TrainedClipCnn | None
) -> tuple[tuple[str, ...], SplitList]:
    """Names of the classes, and the class of each training video.

    Raises:
        UsageError: videos or classes are missing, or the classes are not the teacher's.
    """
    known = () if teacher is None else teacher.class_names
    if options.classes is not None:
        known = _read_classes(options.classes)
    names = classes_of_list(options.split, known, part="train")
    if options.classes is not None and names != known:
        raise UsageError(
            f"--classes {shown(options.classes)}: lacks classes of {shown(options.split)}. List all classes in it."
        )
    if teacher is not None and names != teacher.class_names:
        raise UsageError(
            f"{shown(str(options.teacher))}: trained for {len(teacher.class_names)} classes, which are not those of "
            f"{shown(options.classes or options.split)}. Give a teacher of the same classes, in the same order."
        )
    split = read_split(options.split, names, part="train", present=list(stores.num_frames))
    split = present_videos(
        take_fraction(split, options.fraction, seed=options.seed),
        stores.num_frames,
        store=stores.url,
        where=options.split,
        allow_missing=options.allow_missing,
        way_out="add them to the store",
    )
    if len(set(split.values())) < 2:
        raise UsageError(f"{shown(options.split)}: all training videos have one class. Give at least two classes.")
    return names, split


def _read_classes(url: str) -> tuple[str, ...]:
    """Names of a class list, or of Something-Something V2's labels.json."""
    if url.endswith(".json"):
        return something_v2.read_classes(url)
    return read_class_index(url)


def _input(options: TrainClipCnnOptions, stores: ClipStores, side: int) -> ClipInput:
    crop = min(side, stores.size) if options.crop is None else options.crop
    refuse_flag("crop", crop, f"must be at most {stores.size}, the side of the stored frames", crop > stores.size)
    return ClipInput(options.length, options.step, stores.size, crop, stores.preprocessing, dict(stores.sampling))


def _check_teacher(
    options: TrainClipCnnOptions,
    teacher: TrainedClipCnn,
    stores: ClipStores,
    names: Sequence[str],
    taken: ClipInput,
    shape: tuple[int, int, int],
) -> None:
    """Check that the teacher sees the student's clips and that both maps have one size.

    Raises:
        UsageError: the teacher does not fit; the message says why.
    """
    url = shown(str(options.teacher))
    if teacher.modality != "flow" or len(teacher.map_names) != 1:
        raise UsageError(f"{url}: not a teacher, which takes flow and has one attention map. Train it on flow.")
    if difference := unlike(teacher.flow, stores.flow_fields):
        raise UsageError(f"{url}: trained on another kind of flow than {stores.flow_url} ({difference}). Change one.")
    own, theirs = ((one.length, one.step, one.crop) for one in (taken, teacher.input))
    if own != theirs and not options.pool_teacher_maps:
        words = "{} frames with step {} and {} pixels".format
        raise UsageError(
            f"{url}: trained on clips of {words(*theirs)}, not {words(*own)}. Change --length, --step or --crop."
        )
    size = map_shape(teacher.net.architecture.backbone, taken.clip_shape)
    larger = all(a >= b for a, b in zip(size, shape, strict=True))
    if size != shape and not (options.pool_teacher_maps and larger):
        way_out = "add --pool-teacher-maps, or change --backbone" if larger else "change --backbone"
        text = " instead of ".join("×".join(map(str, one)) for one in (size, shape))
        raise UsageError(f"{url}: its map has {text} cells. {way_out.capitalize()}.")


def unlike(known: Mapping[str, object], found: Mapping[str, object]) -> str:
    """Differences of two kinds of flow in one line; empty if they are equal."""
    names = sorted(name for name in {*known, *found} if known.get(name) != found.get(name))
    return "; ".join(f"{name}: {known.get(name)} there, {found.get(name)} here" for name in names)


def _network(options: TrainClipCnnOptions, num_classes: int, weights: WeightsFile | None) -> ClipCnn:
    """Network with its initial weights, which depend on the seed and not on torch's random state."""
    architecture = ClipArchitecture(
        backbone=options.backbone,
        modality=options.modality,
        num_classes=num_classes,
        num_maps=options.num_maps(options.modality),
        fusion=options.fusion,
        attention="soft" if options.attention == "none" else options.attention,
        temperature=options.temperature,
        attention_kernel_t=options.attention_kernel_t,
        attention_hidden=options.attention_hidden,
        hidden_layer=options.hidden_layer,
        dropout=options.dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        net = ClipCnn(architecture)
    if weights is not None:
        net.backbone.import_weights(weights.url, weights.tensors)
    return net
