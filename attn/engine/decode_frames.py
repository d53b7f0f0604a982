"""Decodes videos into a frame store, once for all trainings that read it."""

import dataclasses
import functools
import importlib.metadata
import logging
import platform

from attn.datasets.split import read_split
from attn.engine.allowance import allowed_failures
from attn.engine.dataflow import frames_done
from attn.engine.filling import StorePlan, fill_store
from attn.engine.options import FramesOptions
from attn.engine.placement import cluster_totals, living_nodes, place_decoding
from attn.engine.session import start_ray
from attn.engine.split_check import present_videos
from attn.errors import UsageError, some
from attn.stages.decode import DecodeVideos
from attn.storage.failures import read_failures
from attn.storage.filesystem import storage_errors
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest
from attn.storage.writable import check_writable
from attn.video.found import paths_of
from attn.video.sample import Sampling, Stride
from attn.video.source import Video, list_videos
from attn.video.transform import PREPROCESSING

log = logging.getLogger(__name__)

FRAMES_PER_BATCH = 64
PART_MB = 128
PACKAGES = ("ray", "pyarrow", "av", "pillow", "numpy")


def decode_frames(options: FramesOptions) -> int:
    """Fills the frame store with the videos of all lists; the exit code.

    Raises:
        UsageError: before anything was written.
    """
    found = {video.video_id: video for video in list_videos(options.videos)}
    wanted: set[str] = set()
    for url in options.lists:
        split = read_split(url, part="train", present=paths_of(found.values()))
        wanted |= present_videos(split, found, store=options.videos, where=url, allow_missing=True).keys()
    videos = [found[video_id] for video_id in sorted(wanted)]
    plan = plan_frames(options.out, videos, Stride(options.stride), options.input_size, options.max_failed_fraction)
    return fill_frames(plan)


def plan_frames(
    url: str, videos: list[Video], sampling: Sampling, input_size: int, max_failed_fraction: float
) -> StorePlan:
    """How the frames of some videos come to stand in a store.

    Args:
        url: of the store, which may hold other videos already.
        videos: without labels: the frames serve any list.
        sampling: which frames are kept.
        input_size: side of the square frames, in pixels.
        max_failed_fraction: more failures than this share of the videos are an error.

    Raises:
        UsageError: the store holds something else, or cannot be written.
    """
    manifest = FrameManifest(
        input_size=input_size,
        preprocessing=PREPROCESSING,
        sampling={type(sampling).__name__.lower(): dataclasses.astuple(sampling)[0]},
        informative={
            "python": platform.python_version(),
            "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
        },
    )
    ledger = Ledger.at(url, FrameManifest)
    ledger.check(manifest)
    with storage_errors(url):
        finished = ledger.finished
    if not finished:  # one that is may be read where no one may write
        check_writable(url)
    stage = DecodeVideos(sampling, input_size, FRAMES_PER_BATCH)
    return StorePlan(videos, manifest, ledger, stage, PART_MB, max_failed_fraction)


def fill_frames(plan: StorePlan) -> int:
    """Decodes what the store lacks; the exit code.

    A finished store that lacks nothing is left alone: several trainings may read it at the same time. Of several that
    find something to decode one does, and the others wait. What could not be decoded is tried again, unless no one may
    write to the store.
    """
    if _lacks_nothing(plan):
        return 0
    try:
        check_writable(plan.ledger.url)
    except UsageError:
        if not (lacking := _failed_alone(plan)):
            raise
        log.warning("%s lacks what could not be decoded (%s), and may not be written", plan.ledger.url, some(lacking))
        return 0
    start_ray()
    placement = place_decoding(cluster_totals(), living_nodes())
    chain = functools.partial(frames_done, schema=plan.manifest.schema, placement=placement)
    with plan.ledger.occupied(wait=True):
        if _lacks_nothing(plan):
            return 0
        plan.ledger.begin(plan.manifest)
        return fill_store(plan, placement, chain)


def _failed_alone(plan: StorePlan) -> list[str]:
    """The videos that a finished store lacks, where all of them failed and so many may; else none."""
    ledger = plan.ledger
    with storage_errors(ledger.url):
        failed = read_failures(ledger.fs, ledger.root).keys() if ledger.finished else set[str]()
    lacking = {video.video_id for video in plan.videos} - ledger.completed().keys()
    few = len(lacking) <= allowed_failures(plan.max_failed_fraction, len(plan.videos))
    return sorted(lacking) if few and lacking <= failed else []


def _lacks_nothing(plan: StorePlan) -> bool:
    with storage_errors(plan.ledger.url):
        finished = plan.ledger.finished
    return finished and plan.ledger.completed().keys() >= {video.video_id for video in plan.videos}
