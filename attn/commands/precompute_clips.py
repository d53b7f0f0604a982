"""Precompute of clips: logits and attention maps of a network of clips, each clip exactly once."""

import dataclasses
import logging
from typing import Any

from attn.commands.fill_store import fill_and_check, placement_of, report_estimate
from attn.commands.precompute_manifest import PACKAGES
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import check_fill_numbers, find_labelled, how_to_resume
from attn.datasets.own_list import read_labels
from attn.engine.filling import Chain, StorePlan
from attn.engine.in_process import PLACEMENT, computed_in_process
from attn.engine.placement import Placement
from attn.errors import UsageError, refuse_flag
from attn.models.clip_backbone import map_shape
from attn.models.clip_file import TrainedClipCnn, load_clip_cnn
from attn.schema import ATTENTION, CLIP_COLUMNS
from attn.stages.clip_columns import ComputeClips
from attn.stages.clips import ClipSampling
from attn.stages.decode_clips import DecodeClips
from attn.storage.error_messages import shown
from attn.storage.ledger import Ledger
from attn.storage.manifest import ClipManifest
from attn.storage.store_manifest import made_by
from attn.storage.writable import check_writable
from attn.video.sample import Fps, Sampling, Stride
from attn.video.transform import Resampling

log = logging.getLogger(__name__)

NOT_USED = ("flow", "backbone", "classes", "mean", "std", "input_size", "fps")
"""Flags that the file of the network replaces."""


@dataclasses.dataclass(frozen=True)
class ClipPlan(StorePlan):
    """Plan of a clip store, with the network that computes its rows."""

    manifest: ClipManifest
    options: PrecomputeOptions
    trained: TrainedClipCnn


def precompute_clips(options: PrecomputeOptions) -> int:
    """Fill the clip store at `--out` and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; nothing was written.
    """
    plan = make_clip_plan(options)
    placement = placement_of(plan, options)
    log.info("%s: %d videos, %d classes", options.videos, len(plan.videos), len(plan.manifest.class_names))
    if options.dry_run:
        return report_estimate(plan, placement, options)
    return fill_and_check(plan, placement, _chain(plan, placement), options)


def make_clip_plan(options: PrecomputeOptions) -> ClipPlan:
    """Read the inputs and check that they are consistent.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    check_fill_numbers(options)
    if options.videos is None:
        raise UsageError("--videos: missing. Name the videos whose clips to compute.")
    length, step = options.clip or (0, 0)
    every = length * step if options.clip_every is None else options.clip_every
    refuse_flag("clip", f"{length} {step}", "must be two numbers of at least 1", min(length, step) < 1)
    refuse_flag("clip_every", every, "must be at least 1", every < 1)
    for name in NOT_USED:
        refuse_flag(name, getattr(options, name), "not used with --clip", getattr(options, name) is not None)
    odd = [name for name in options.columns if name not in CLIP_COLUMNS]
    if odd or not options.columns:
        raise UsageError(
            f"--columns {' '.join(odd)}: clips have other columns. Give --columns {' '.join(CLIP_COLUMNS)}."
        )
    check_writable(options.out)
    trained = load_clip_cnn(options.weights)
    _check_network(options, trained)
    taken, net = trained.input, trained.net
    time, rows, cols = map_shape(net.architecture.backbone, (length, taken.crop, taken.crop))
    manifest = ClipManifest(
        class_names=trained.class_names,
        backbone=net.architecture.backbone,
        weights_sha256=trained.sha256,
        map_layer="block5",
        alpha_reduce="mean",
        input_size=taken.size,
        mean=taken.mean,
        std=taken.std,
        preprocessing=taken.preprocessing,
        sampling=taken.sampling,
        precision="fp32",
        columns=tuple(sorted(set(options.columns))),
        num_channels=net.backbone.late_channels,
        map_shape=(rows, cols),
        informative={**made_by(PACKAGES), "options": dataclasses.asdict(options)},
        clip={"length": length, "step": step, "every": every, "crop": taken.crop, "crops": options.crops},
        map_names=trained.map_names,
        map_time=time,
    )
    ledger = Ledger.at(options.out, ClipManifest)
    labels = read_labels(options.labels, trained.class_names) if options.labels else {}
    videos, left_out = find_labelled(options, ledger, trained.class_names, labels)
    ledger.check(manifest, overwrite=options.overwrite)
    stage = DecodeClips(
        _sampling(taken.sampling),
        taken.size,
        max(options.batch_size // length, 1),
        decoder=options.decoder,
        timeout_s=options.decode_timeout_s,
        resampling=Resampling.parse(taken.preprocessing),
        clip=ClipSampling(length, step),
        every=every,
    )
    return ClipPlan(
        videos=videos,
        manifest=manifest,
        ledger=ledger,
        stage=stage,
        part_mb=options.part_mb,
        max_failed_fraction=options.max_failed_fraction,
        go_on=how_to_resume(options),
        left_out=left_out,
        options=options,
        trained=trained,
    )


def _check_network(options: PrecomputeOptions, trained: TrainedClipCnn) -> None:
    url = shown(options.weights)
    if trained.modality != "rgb":
        raise UsageError(f"{url}: takes {trained.modality}, but videos have frames. Give a network of frames.")
    if ATTENTION in options.columns and not trained.map_names:
        raise UsageError(f"{url}: a network without attention. Leave attention out of --columns.")


def _sampling(record: dict[str, Any]) -> Sampling:
    """Sampling of a record, see `attn.video.sample.sampling_record`."""
    ((name, value),) = record.items()
    return Fps(float(value)) if name == "fps" else Stride(int(value))


def _chain(plan: ClipPlan, placement: Placement) -> Chain:
    schema, settings = plan.manifest.schema, {"columns": plan.manifest.columns, "crops": plan.options.crops}
    if placement is PLACEMENT:
        return computed_in_process(ComputeClips, plan.trained, settings, schema)
    from attn.engine.dataflow import pool_chain  # imported here because Ray Data takes seconds to load

    return pool_chain(ComputeClips, plan.trained, {**settings, "device": placement.device}, schema, placement)
