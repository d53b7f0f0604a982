"""Checks and plan of adapt_cnn, made before any video is opened."""

import dataclasses
import hashlib
import posixpath
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from attn.commands.adapt_options import AdaptOptions
from attn.commands.split_check import present_videos
from attn.datasets.image_folder import list_images
from attn.datasets.split import read_label_sets
from attn.datasets.ucf101 import read_class_index
from attn.engine.frame_samples import choose_videos
from attn.errors import UsageError
from attn.memory import available_bytes
from attn.models.adapt import LEAST_BATCH, LEAST_FRAMES, check_adaptable, check_enough
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.models.fit import fitting_tensors
from attn.models.weights_file import read_weights_file
from attn.stages.align import reader
from attn.stages.decode_videos import DecodeVideos
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.storage.writable import check_writable
from attn.video.found import paths_of
from attn.video.sample import Fps, Stride
from attn.video.source import Video, list_videos

DECODE_BATCH = 32
SUFFIX = ".safetensors"


@dataclasses.dataclass(frozen=True)
class AdaptPlan:
    """Valid settings of an adaptation.

    Attributes:
        videos: videos to sample.
        per_video: maximum number of frames per video.
        settings: all settings that affect the statistics, in JSON types.
        record: record of this adaptation if --out already contains its result, otherwise None.
        images: URLs of the Web images that set the channel spread; empty if BatchNorm is re-estimated.
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
        """Upper bound of the memory of all frames, in bytes."""
        return len(self.videos) * self.per_video * self.stage.size**2 * 3


def make_plan(options: AdaptOptions) -> AdaptPlan:
    """Read the inputs and check that they are consistent.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    _check_flags(options)
    cnn = _load(options)
    images = _web_images(options, cnn)
    if "adapted" in cnn.trained and not options.allow_adapted:
        raise UsageError(
            f"{options.weights}: {_summary(cnn.trained['adapted'])}. Give --allow-adapted to adapt it again."
        )
    check_input_size(cnn)
    found = list_videos(options.videos)
    videos = choose_videos(_listed(options, found) if options.lists else found, options.frames, options.seed)
    settings = _settings(options, cnn, videos, images)
    sampling = Fps(options.fps) if options.fps is not None else Stride(options.stride)
    how = {"decoder": options.decoder, "timeout_s": options.decode_timeout_s, "resampling": cnn.resampling}
    stage = DecodeVideos(sampling, cnn.input_size, DECODE_BATCH, **how)
    per_video = -(-options.frames // len(videos))
    plan = AdaptPlan(options, cnn, videos, stage, per_video, settings, _record(options, settings), images)
    if plan.frame_bytes > (free := available_bytes()):
        need = f"{plan.frame_bytes / 1e9:.1f} GB needed, {free / 1e9:.1f} GB available"
        raise UsageError(f"--frames {options.frames}: too many for the memory of this machine ({need}). Give fewer.")
    return plan


def _check_flags(options: AdaptOptions) -> None:
    if not options.out.endswith(SUFFIX):
        raise UsageError(f"{options.out}: not a checkpoint name. Give --out a name that ends in {SUFFIX}.")
    check_enough(options.frames, least_frames(options), of="--frames")
    if options.batch_size < LEAST_BATCH:
        raise UsageError(f"--batch-size {options.batch_size}: must be at least {LEAST_BATCH}.")
    if not options.decode_timeout_s > 0:
        raise UsageError(f"--decode-timeout-s {options.decode_timeout_s:g}: must be positive.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: must be from 0 to 1.")
    check_writable(posixpath.dirname(options.out) or ".")


def _load(options: AdaptOptions) -> Cnn:
    names = None
    if options.classes is not None:
        names = read_class_index(options.classes)

    def load(*, new_classifier: bool) -> Cnn:
        how = {"mean": options.mean, "std": options.std, "input_size": options.input_size}
        return load_weights(options.weights, options.backbone, names, **how, new_classifier=new_classifier)

    cnn = load(new_classifier=names is not None)
    if cnn.new_classifier and not options.features_only and _has_head(options.weights, cnn):
        return load(new_classifier=False)  # raises an error that names the mismatch
    return cnn


def _has_head(url: str, cnn: Cnn) -> bool:
    """Return whether a weights file has any tensor of a classifier."""
    found = fitting_tensors(cnn.backbone, read_weights_file(url)).tensors
    return bool(found.keys() & cnn.backbone.names_below(cnn.backbone.head))


def _listed(options: AdaptOptions, videos: list[Video]) -> list[Video]:
    """Videos named in at least one of `--lists`."""
    named: set[str] = set()
    for url in options.lists:
        present = paths_of(videos)
        split = read_label_sets(url, part="train", present=present)
        named |= present_videos(split, present, store=options.videos, where=url, allow_missing=True).keys()
    return [video for video in videos if video.video_id in named]


def _web_images(options: AdaptOptions, cnn: Cnn) -> tuple[str, ...]:
    """Shuffled sample of --images; empty for a CNN with BatchNorm.

    Raises:
        UsageError: the CNN needs --images and there are none, or it has BatchNorm and does not use them.
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
                f"--images {options.images}: channel factors are stored in the classifier, and {shown(options.out)} "
                "would have none. Give weights with a classifier, without --features-only."
            ) from None
        paths = list_images(options.images, cnn.class_names).paths
        order = np.random.default_rng(options.seed).permutation(len(paths))[: options.frames]
        return tuple(paths[row] for row in order)
    raise UsageError(
        f"--images {options.images}: {options.weights} has BatchNorm and needs no images. Leave out --images."
    )


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
        "preprocessing": str(cnn.resampling),
        "features_only": options.features_only,
        **with_images,
    }


def _record(options: AdaptOptions, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record in --out if this adaptation made the file, or None if the file does not exist.

    Raises:
        UsageError: the file is not the result of this adaptation.
    """
    if not Location.at(options.out).exists():
        return None
    described = read_weights_file(options.out).described
    record = described.trained.get("adapted", {}) if described is not None else {}
    if record.get("settings") != settings:
        raise UsageError(f"{options.out}: made with other settings or inputs. Remove it or choose another --out.")
    return record


def _summary(record: Any) -> str:
    """Description of an adaptation for messages. The record is read from a file and may have any content."""
    known = record if isinstance(record, dict) else {}
    return f"already adapted to {known.get('frames', '?')} frames of {known.get('videos', '?')} videos"


def least_frames(options: AdaptOptions) -> int:
    """Minimum number of frames."""
    return LEAST_BATCH if options.allow_few else LEAST_FRAMES


def device() -> torch.device:
    """Device on which this process runs the CNN."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
