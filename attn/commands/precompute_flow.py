"""Precompute optical flow: from every sampled frame to the next one, each exactly once."""

import dataclasses
import functools
import logging
import math
from collections.abc import Collection
from typing import Any

from attn.commands.fill_store import placement_of, report_estimate
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.precompute_plan import check_fill_numbers, how_to_resume
from attn.commands.split_check import present_videos
from attn.datasets.split import read_label_sets
from attn.engine.filling import Chain, StorePlan, fill_locked
from attn.engine.in_process import PLACEMENT, computed_in_process, frames_in_process
from attn.engine.placement import Placement
from attn.engine.terminal import say
from attn.errors import UsageError
from attn.stages.decode_pairs import DecodePairs
from attn.stages.flow.compute import ComputeFlow, FlowModel, open_flow_model
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.manifest import FlowManifest
from attn.storage.store_manifest import made_by
from attn.storage.writable import check_writable
from attn.video.found import keep_names, paths_of
from attn.video.sample import sampling_record
from attn.video.source import Video, find_videos, label_videos
from attn.video.transform import BILINEAR, Resampling

log = logging.getLogger(__name__)

PACKAGES = ("ray", "pyarrow", "av", "pillow", "numpy")
ALGORITHM_PACKAGES = {"dis": ("opencv-contrib-python-headless", "opencv-python-headless")}
TORCH = ("torch", "torchvision")


@dataclasses.dataclass(frozen=True)
class FlowPlan(StorePlan):
    """Plan of a flow store, with the algorithm that computes its rows."""

    manifest: FlowManifest
    options: PrecomputeFlowOptions
    model: FlowModel


def precompute_flow(options: PrecomputeFlowOptions) -> int:
    """Fill the flow store at `--out` and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; nothing was written.
    """
    plan = make_flow_plan(options)
    placement = placement_of(plan, options, in_decode_tasks=plan.model.in_decode_tasks)
    log.info("%s: %d videos, %s", options.videos, len(plan.videos), options.algorithm)
    if options.dry_run:
        return report_estimate(plan, placement, options)
    return fill_locked(plan, placement, _chain(plan, placement), overwrite=options.overwrite)


def make_flow_plan(options: PrecomputeFlowOptions) -> FlowPlan:
    """Read the inputs and check that they are consistent.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    check_fill_numbers(options)
    if not 0 < options.bound < math.inf:
        raise UsageError(f"--bound {options.bound:g}: must be a positive number of pixels.")
    resampling = _resampling(options)
    check_writable(options.out)
    model = open_flow_model(options.algorithm, options.weights, size=options.input_size)
    if model.in_decode_tasks and (options.actors, options.gpus_per_actor) != (None, None):
        raise UsageError(f"--actors and --gpus-per-actor: {model.algorithm} needs no actors. Leave them out.")
    ledger = Ledger.at(options.out, FlowManifest)
    say(f"{options.videos}: listing videos")
    listing = find_videos(options.videos)
    found = keep_names(listing.found, _held(ledger, options), options.out)
    manifest = FlowManifest(
        algorithm=model.algorithm,
        parameters=dict(model.parameters),
        bound_px=float(options.bound),
        input_size=options.input_size,
        preprocessing=str(resampling),
        sampling=sampling_record(options.sampling),
        informative={
            **made_by((*PACKAGES, *ALGORITHM_PACKAGES.get(model.algorithm, TORCH))),
            "options": dataclasses.asdict(options),
        },
    )
    ledger.check(manifest, overwrite=options.overwrite)
    stage = DecodePairs(
        options.sampling,
        options.input_size,
        options.batch_size,
        decoder=options.decoder,
        timeout_s=options.decode_timeout_s,
        resampling=resampling,
    )
    return FlowPlan(
        videos=_listed(options, label_videos(found, (), {})),
        manifest=manifest,
        ledger=ledger,
        stage=stage,
        part_mb=options.part_mb,
        max_failed_fraction=options.max_failed_fraction,
        go_on=how_to_resume(options),
        left_out=listing.left_out,
        options=options,
        model=model,
    )


def _resampling(options: PrecomputeFlowOptions) -> Resampling:
    text = options.preprocessing
    if text is None:
        return BILINEAR
    if str(resampling := Resampling.parse(text)) != text:
        raise UsageError(f"--preprocessing {text!r}: unknown. Copy it from the manifest of a store.")
    return resampling


def _held(ledger: Ledger, options: PrecomputeFlowOptions) -> Collection[str]:
    """IDs of the videos in the store; empty for a new store or with `--overwrite`."""
    with storage_errors(options.out):
        return {} if options.overwrite or not ledger.begun else ledger.completed()


def _listed(options: PrecomputeFlowOptions, videos: list[Video]) -> list[Video]:
    """Videos named in at least one list, or all videos without lists."""
    found = paths_of(videos)
    named: set[str] = set()
    for url in options.lists:
        split = read_label_sets(url, part="both", present=found)
        named |= present_videos(split, found, store=options.videos, where=url, allow_missing=True).keys()
    return [video for video in videos if video.video_id in named] if options.lists else videos


def _chain(plan: FlowPlan, placement: Placement) -> Chain:
    schema, settings = plan.manifest.schema, dict[str, Any](bound_px=plan.manifest.bound_px)
    if plan.model.in_decode_tasks:
        tensors = ComputeFlow(plan.model, **settings)
        if placement is PLACEMENT:
            return frames_in_process(schema, tensors)
        from attn.engine.dataflow import frames_done  # imported here because Ray Data takes seconds to load

        return functools.partial(frames_done, schema=schema, placement=placement, tensors=tensors)
    if placement is PLACEMENT:
        return computed_in_process(ComputeFlow, plan.model, settings, schema)
    from attn.engine.dataflow import pool_chain

    return pool_chain(ComputeFlow, plan.model, {**settings, "device": placement.device}, schema, placement)
