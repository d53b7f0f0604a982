"""Everything adapt_cnn can know, and refuse, before it opens a video."""

import dataclasses
import hashlib
import posixpath
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from attn.classes import parse_class_list
from attn.datasets.image_folder import list_images
from attn.datasets.split import read_split
from attn.engine.adapt_options import AdaptOptions
from attn.engine.frame_samples import choose_videos
from attn.engine.memory import available_bytes
from attn.engine.split_check import present_videos
from attn.errors import UsageError
from attn.models.adapt import LEAST_BATCH, LEAST_FRAMES, check_adaptable, check_enough
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.models.fit import fitting_tensors
from attn.models.weights_file import read_weights_file
from attn.stages.align import reader
from attn.stages.decode import DecodeVideos
from attn.storage.filesystem import open_filesystem, read_text, storage_errors
from attn.storage.reasons import shown
from attn.storage.writable import check_writable
from attn.video.found import paths_of
from attn.video.sample import Fps, Stride
from attn.video.source import Video, list_videos
from attn.video.transform import PREPROCESSING

DECODE_BATCH = 32
SUFFIX = ".safetensors"


@dataclasses.dataclass(frozen=True)
class AdaptPlan:
    """An adaptation that is possible.

    Attributes:
        videos: to sample.
        per_video: frames of each, at most.
        settings: everything that decides the statistics, in JSON types.
        record: of the adaptation that made what is stored at --out already, if it was this one.
        images: URLs of the Web images whose spread the channels get; none if BatchNorm is estimated again.
    """

    options: AdaptOptions
    cnn: Cnn
    videos: list[Video]
    stage: DecodeVideos
    per_video: int
    settings: dict[str, Any]
    record: dict[str, Any] | None
    images: tuple[str, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """Memory of all frames at most: those that are kept while the last video is decoded."""
        return len(self.videos) * self.per_video * self.stage.size**2 * 3


def make_plan(options: AdaptOptions) -> AdaptPlan:
    """Reads what the flags name and checks that it fits together.

    Raises:
        UsageError: the first thing that does not.
    """
    _check_flags(options)
    cnn = _load(options)
    images = _web_images(options, cnn)
    if "adapted" in cnn.trained and not options.allow_adapted:
        raise UsageError(f"{options.weights}: {_told(cnn.trained['adapted'])}. Give --allow-adapted to adapt it again.")
    check_input_size(cnn)
    found = list_videos(options.videos)
    videos = choose_videos(_listed(options, found) if options.lists else found, options.frames, options.seed)
    settings = _settings(options, cnn, videos, images)
    sampling = Fps(options.fps) if options.fps is not None else Stride(options.stride)
    stage = DecodeVideos(sampling, cnn.input_size, DECODE_BATCH, options.decoder, options.decode_timeout_s)
    per_video = -(-options.frames // len(videos))
    plan = AdaptPlan(options, cnn, videos, stage, per_video, settings, _record(options, settings), images)
    if plan.frame_bytes > (free := available_bytes()):
        need = f"{plan.frame_bytes / 1e9:.1f} GB for the frames, {free / 1e9:.1f} GB are free"
        raise UsageError(f"--frames {options.frames}: too many for the memory of this machine ({need}). Give fewer.")
    return plan


def _check_flags(options: AdaptOptions) -> None:
    if not options.out.endswith(SUFFIX):
        raise UsageError(f"{options.out}: not the name of a checkpoint. Give --out a name that ends in {SUFFIX}.")
    check_enough(options.frames, least_frames(options))
    if options.batch_size < LEAST_BATCH:
        raise UsageError(f"--batch-size {options.batch_size}: too small. Give {LEAST_BATCH} or more.")
    if not options.decode_timeout_s > 0:
        raise UsageError(f"--decode-timeout-s {options.decode_timeout_s:g}: not positive. Give a number of seconds.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: no share. Give one from 0 to 1.")
    check_writable(posixpath.dirname(options.out) or ".")


def _load(options: AdaptOptions) -> Cnn:
    names = None
    if options.classes is not None:
        names = parse_class_list(read_text(*open_filesystem(options.classes)).splitlines(), where=options.classes)

    def load(*, new_classifier: bool) -> Cnn:
        how = {"mean": options.mean, "std": options.std, "input_size": options.input_size}
        return load_weights(options.weights, options.backbone, names, **how, new_classifier=new_classifier)

    cnn = load(new_classifier=names is not None)
    if cnn.new_classifier and not options.features_only and _has_head(options.weights, cnn):
        return load(new_classifier=False)  # which says what does not fit
    return cnn


def _has_head(url: str, cnn: Cnn) -> bool:
    """Whether weights have a classifier, or a part of one, of their own."""
    found = fitting_tensors(cnn.backbone, read_weights_file(url)).tensors
    return bool(found.keys() & cnn.backbone.names_below(cnn.backbone.head))


def _listed(options: AdaptOptions, videos: list[Video]) -> list[Video]:
    """The videos that one of the lists names."""
    named: set[str] = set()
    for url in options.lists:
        present = paths_of(videos)
        split = read_split(url, part="train", present=present)
        named |= present_videos(split, present, store=options.videos, where=url, allow_missing=True).keys()
    return [video for video in videos if video.video_id in named]


def _web_images(options: AdaptOptions, cnn: Cnn) -> tuple[str, ...]:
    """Some of --images, in an order that mixes them; none for a CNN whose statistics can be estimated again.

    Raises:
        UsageError: the CNN needs --images, or has no use for them.
    """
    if options.images is None:
        check_adaptable(cnn.backbone, options.weights)
        return ()
    try:
        check_adaptable(cnn.backbone, options.weights)
    except UsageError:
        reader(cnn.backbone, options.weights)
        if cnn.new_classifier or options.features_only:
            raise UsageError(
                f"--images {options.images}: factors of channels go into the classifier, and {shown(options.out)} "
                "would have none. Give weights with a classifier, without --features-only."
            ) from None
        paths = list_images(options.images, cnn.class_names).paths
        order = np.random.default_rng(options.seed).permutation(len(paths))[: options.frames]
        return tuple(paths[row] for row in order)
    raise UsageError(f"--images {options.images}: {options.weights} has BatchNorm, which needs none. Leave it out.")


def _settings(options: AdaptOptions, cnn: Cnn, videos: list[Video], images: Sequence[str]) -> dict[str, Any]:
    names = "".join(f"{posixpath.basename(path)}\n" for path in images)
    with_images = {"images": hashlib.sha256(names.encode()).hexdigest()} if images else {}
    listing = "".join(f"{video.video_id} {video.size}\n" for video in videos)
    return {
        "from": cnn.weights_sha256,
        "videos": hashlib.sha256(listing.encode()).hexdigest(),
        "frames": options.frames,
        "sampling": {"stride": options.stride} if options.fps is None else {"fps": options.fps},
        "batch_size": options.batch_size,
        "seed": options.seed,
        "decoder": options.decoder,
        "input_size": cnn.input_size,
        "mean": list(cnn.mean),
        "std": list(cnn.std),
        "preprocessing": PREPROCESSING,
        "features_only": options.features_only,
        **with_images,
    }


def _record(options: AdaptOptions, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Record of --out if the same adaptation made it; None if there is no such file.

    Raises:
        UsageError: the file is something else.
    """
    fs, path = open_filesystem(options.out)
    with storage_errors(options.out):
        if not fs.exists(path):
            return None
    described = read_weights_file(options.out).described
    record = described.trained.get("adapted", {}) if described is not None else {}
    if record.get("settings") != settings:
        raise UsageError(f"{options.out}: exists, made by something else. Remove it or choose another --out.")
    return record


def _told(record: Any) -> str:
    """How messages name an adaptation, whatever a file says of it."""
    known = record if isinstance(record, dict) else {}
    return f"adapted before, to {known.get('frames', '?')} frames of {known.get('videos', '?')} videos"


def least_frames(options: AdaptOptions) -> int:
    """Fewer are refused."""
    return LEAST_BATCH if options.allow_few else LEAST_FRAMES


def device() -> torch.device:
    """Where this process runs the CNN."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
