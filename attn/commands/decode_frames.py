"""Decode videos into a frame store that several trainings can read."""

import dataclasses
import functools
import logging

from attn.commands.decode_frames_options import DecodeFramesOptions
from attn.commands.precompute_options import FramesOptions
from attn.commands.split_check import present_videos
from attn.datasets.split import read_split
from attn.engine.allowance import allowed_failures
from attn.engine.filling import Chain, StorePlan, fill_store
from attn.engine.in_process import PLACEMENT, frames_in_process, runs_in_process
from attn.engine.placement import Placement, cluster_totals, living_nodes, place_decoding
from attn.engine.session import start_ray
from attn.errors import UsageError, refuse_flag, some
from attn.stages.decode_videos import DecodeVideos
from attn.storage.failures import read_failures
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest
from attn.storage.store_manifest import made_by
from attn.storage.writable import check_writable
from attn.video.found import paths_of
from attn.video.sample import Sampling, Stride, sampling_record
from attn.video.source import Video, list_videos
from attn.video.transform import BILINEAR, Resampling

log = logging.getLogger(__name__)

FRAMES_PER_BATCH = 64
PART_MB = 128
PACKAGES = ("ray", "pyarrow", "av", "pillow", "numpy")


def decode_listed(options: DecodeFramesOptions) -> int:
    """Decode the videos of all lists into the frame store of a job and return the exit code.

    Raises:
        UsageError: as `decode_frames`, or a number is out of range.
    """
    for name in ("input_size", "stride"):
        refuse_flag(name, getattr(options, name), "must be at least 1", getattr(options, name) < 1)
    share = options.max_failed_fraction
    refuse_flag("max_failed_fraction", share, "must be from 0 to 1", not 0 <= share <= 1)
    text = str(BILINEAR) if options.preprocessing is None else options.preprocessing
    if str(Resampling.parse(text)) != text:
        raise UsageError(f"--preprocessing {text!r}: unknown. Copy it from the manifest of a store.")
    return decode_frames(FramesOptions(**{**dataclasses.asdict(options), "preprocessing": text}))


def decode_frames(options: FramesOptions) -> int:
    """Decode the videos of all lists into the frame store and return the exit code.

    Raises:
        UsageError: videos, lists or store are invalid; nothing was written.
    """
    found = {video.video_id: video for video in list_videos(options.videos)}
    wanted: set[str] = set()
    for url in options.lists:
        split = read_split(url, part="train", present=paths_of(found.values()))
        wanted |= present_videos(split, found, store=options.videos, where=url, allow_missing=True).keys()
    videos = [found[video_id] for video_id in sorted(wanted)]
    settings = Stride(options.stride), options.input_size, options.max_failed_fraction
    return fill_frames(plan_frames(options.out, videos, *settings, Resampling.parse(options.preprocessing)))


def plan_frames(
    url: str,
    videos: list[Video],
    sampling: Sampling,
    input_size: int,
    max_failed_fraction: float,
    resampling: Resampling = BILINEAR,
) -> StorePlan:
    """Return a plan that stores the frames of videos.

    Args:
        url: URL of the store, which may contain other videos.
        videos: videos without labels, because the frames serve any list.
        sampling: selection of frames.
        input_size: side of the square frames, in pixels.
        max_failed_fraction: largest allowed share of failed videos.
        resampling: part of a frame that is kept, and the interpolation.

    Raises:
        UsageError: the store was made with other settings or cannot be written.
    """
    manifest = FrameManifest(
        input_size=input_size,
        preprocessing=str(resampling),
        sampling=sampling_record(sampling),
        informative=made_by(PACKAGES),
    )
    ledger = Ledger.at(url, FrameManifest)
    ledger.check(manifest)
    with storage_errors(url):
        finished = ledger.finished
    if not finished:  # a finished store may be read-only
        check_writable(url)
    stage = DecodeVideos(sampling, input_size, FRAMES_PER_BATCH, resampling=resampling)
    return StorePlan(videos, manifest, ledger, stage, PART_MB, max_failed_fraction)


def fill_frames(plan: StorePlan) -> int:
    """Decode the videos missing from the store and return the exit code.

    A complete store is only read, so that several trainings can share it. If several trainings find missing videos, one
    decodes them while the others wait. Videos that failed before are retried unless the store is read-only.
    """
    if _is_complete(plan):
        return 0
    try:
        check_writable(plan.ledger.url)
    except UsageError:
        if not (lacking := _only_failed(plan)):
            raise
        log.warning("%s: read-only, so its failed videos are not retried: %s", plan.ledger.url, some(lacking))
        return 0
    placement, chain = _workplace(plan)
    with plan.ledger.locked(wait=True):
        if _is_complete(plan):
            return 0
        plan.ledger.begin(plan.manifest)
        return fill_store(plan, placement, chain)


def _workplace(plan: StorePlan) -> tuple[Placement, Chain]:
    if runs_in_process(plan.videos):
        return PLACEMENT, frames_in_process(plan.manifest.schema)
    from attn.engine.dataflow import frames_done  # imported here because Ray Data takes seconds to load

    start_ray()
    placement = place_decoding(cluster_totals(), living_nodes())
    return placement, functools.partial(frames_done, schema=plan.manifest.schema, placement=placement)


def _only_failed(plan: StorePlan) -> list[str]:
    """IDs missing from a finished store, if all of them failed and their number is allowed; otherwise empty."""
    ledger = plan.ledger
    with storage_errors(ledger.url):
        failed = read_failures(ledger.folder).keys() if ledger.finished else set[str]()
    lacking = {video.video_id for video in plan.videos} - ledger.completed().keys()
    few = len(lacking) <= allowed_failures(plan.max_failed_fraction, len(plan.videos))
    return sorted(lacking) if few and lacking <= failed else []


def _is_complete(plan: StorePlan) -> bool:
    with storage_errors(plan.ledger.url):
        finished = plan.ledger.finished
    return finished and plan.ledger.completed().keys() >= {video.video_id for video in plan.videos}
