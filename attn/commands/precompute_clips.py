"""Precompute of clips: logits and attention maps of a network of clips, each clip exactly once."""

import dataclasses
import logging
from collections.abc import Sequence

from attn.commands.fill_store import fill_and_check, placement_of, report_estimate
from attn.commands.precompute_from_flow import listed_flow_videos, open_flow_store
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
from attn.models.flow_input import FlowInput
from attn.schema import ATTENTION, CLIP_COLUMNS
from attn.stages.clip_columns import ComputeClips
from attn.stages.clips import ClipSampling
from attn.stages.decode_clips import DecodeClips
from attn.stages.decode_videos import DecodeVideos
from attn.stages.read_clips import ReadClips
from attn.stages.read_flow import num_frames_of
from attn.storage.error_messages import shown
from attn.storage.ledger import Ledger
from attn.storage.left_out import NOTHING, LeftOut
from attn.storage.location import Location
from attn.storage.manifest import ClipManifest
from attn.storage.store import FlowStore
from attn.storage.store_manifest import made_by
from attn.storage.writable import check_writable
from attn.video.sample import Sampling, sampling_of
from attn.video.source import Video
from attn.video.transform import Resampling

log = logging.getLogger(__name__)

NOT_USED = ("backbone", "classes", "mean", "std", "input_size", "fps")
"""Flags that the file of the network replaces."""


@dataclasses.dataclass(frozen=True)
class ClipPlan(StorePlan):
    """Plan of a clip store, with the network that computes its rows."""

    manifest: ClipManifest
    options: PrecomputeOptions
    trained: TrainedClipCnn

    @property
    def resampling(self) -> Resampling:
        """Part of a frame that the network sees: the window in the middle of the stored frame."""
        whole, taken = Resampling.parse(self.manifest.preprocessing), self.trained.input
        return dataclasses.replace(whole, crop=whole.crop * taken.crop / taken.size)

    def computation(self, columns: Sequence[str], device: str) -> ComputeClips:
        """Computation of some columns in this process."""
        return ComputeClips(self.trained, columns=columns, crops=self.options.crops, device=device)


def precompute_clips(options: PrecomputeOptions) -> int:
    """Fill the clip store at `--out` and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; nothing was written.
    """
    plan = make_clip_plan(options)
    placement = placement_of(plan, options)
    log.info(
        "%s: %d videos, %d classes", options.videos or options.flow, len(plan.videos), len(plan.manifest.class_names)
    )
    if options.dry_run:
        return report_estimate(plan, placement, options)
    return fill_clips(plan, placement)


def fill_clips(plan: ClipPlan, placement: Placement) -> int:
    """Fill the store of a plan, on the running Ray or in this process, and return the exit code."""
    return fill_and_check(plan, placement, _chain(plan, placement), plan.options)


def make_clip_plan(options: PrecomputeOptions, *, labelled: bool = True) -> ClipPlan:
    """Read the inputs and check that they are consistent.

    Args:
        options: flags of the job.
        labelled: whether to label the videos, from their folders, tar shards and lists.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    check_fill_numbers(options)
    if (options.videos is None) == (options.flow is None):
        raise UsageError("--videos or --flow: exactly one is required. Give the videos or the flow store of the clips.")
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
    flow = _flow_of(options, trained, length)
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
        flow=flow and {"length": length, "kind": dict(trained.flow)},
        informative={**made_by(PACKAGES), "options": dataclasses.asdict(options)},
        clip={"length": length, "step": step, "every": every, "crop": taken.crop, "crops": options.crops},
        map_names=trained.map_names,
        map_time=time,
    )
    ledger = Ledger.at(options.out, ClipManifest)
    source = _Source(options, trained, ClipSampling(length, step), every, labelled)
    videos, left_out, stage = source.of_videos(ledger) if flow is None else source.of_flow(flow)
    ledger.check(manifest, overwrite=options.overwrite)
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
    if trained.modality != "rgb" and options.flow is None:
        raise UsageError(
            f"{url}: takes {trained.modality}, but videos have frames. Give a network of frames, or --flow in place of "
            "--videos."
        )
    if ATTENTION in options.columns and not trained.map_names:
        raise UsageError(f"{url}: a network without attention. Leave attention out of --columns.")


def _flow_of(options: PrecomputeOptions, trained: TrainedClipCnn, length: int) -> FlowStore | None:
    """Flow store of `--flow`; None for videos.

    Raises:
        UsageError: the network takes frames, or has learnt from flow of another kind.
    """
    if options.flow is None:
        return None
    store = open_flow_store(options)
    if trained.modality != "flow":
        raise UsageError(f"{shown(options.weights)}: takes frames. Give --videos in place of --flow.")
    FlowInput(length, trained.flow).check(store.manifest, store=store.url, weights=options.weights)
    return store


@dataclasses.dataclass(frozen=True)
class _Source:
    """Videos and the stage that reads their clips.

    Attributes:
        options: flags of the job.
        trained: network of the clips.
        clip: frames of a clip.
        every: distance of the first frames of two clips.
        labelled: whether to label the videos.
    """

    options: PrecomputeOptions
    trained: TrainedClipCnn
    clip: ClipSampling
    every: int
    labelled: bool

    def of_videos(self, ledger: Ledger) -> tuple[list[Video], LeftOut, DecodeVideos]:
        """Videos of `--videos`, the files that were left out, and the stage that decodes."""
        options, names = self.options, self.trained.class_names
        labels = read_labels(options.labels, names) if options.labels else {}
        videos, left_out = find_labelled(options, ledger, names, labels, labelled=self.labelled)
        stage = DecodeClips(
            *self._common,
            decoder=options.decoder,
            timeout_s=options.decode_timeout_s,
            resampling=Resampling.parse(self.trained.input.preprocessing),
            clip=self.clip,
            every=self.every,
        )
        return videos, left_out, stage

    def of_flow(self, store: FlowStore) -> tuple[list[Video], LeftOut, DecodeVideos]:
        """Videos of `--flow`, and the stage that reads it."""
        videos = listed_flow_videos(self.options, self.trained.class_names, store)
        stage = ReadClips(
            *self._common,
            store=Location.at(store.url).absolute,
            num_frames=num_frames_of(videos, store),
            clip=self.clip,
            every=self.every,
        )
        return videos, NOTHING, stage

    @property
    def _common(self) -> tuple[Sampling, int, int]:
        """Sampling, size of the frames, and number of clips in a batch."""
        taken = self.trained.input
        return sampling_of(taken.sampling), taken.size, max(self.options.batch_size // self.clip.length, 1)


def _chain(plan: ClipPlan, placement: Placement) -> Chain:
    schema, settings = plan.manifest.schema, {"columns": plan.manifest.columns, "crops": plan.options.crops}
    if placement is PLACEMENT:
        return computed_in_process(ComputeClips, plan.trained, settings, schema)
    from attn.engine.dataflow import pool_chain  # imported here because Ray Data takes seconds to load

    return pool_chain(ComputeClips, plan.trained, {**settings, "device": placement.device}, schema, placement)
