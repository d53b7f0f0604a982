"""Everything precompute can know, and refuse, before it does any work."""

import dataclasses
import importlib.metadata
import logging
import platform
from collections.abc import Collection, Sequence

import torch

from attn.classes import class_ids, parse_class_list
from attn.datasets.own_list import read_labels
from attn.datasets.split import read_split
from attn.engine.cli import say
from attn.engine.filling import StorePlan
from attn.engine.options import PrecomputeOptions
from attn.engine.split_check import present_videos
from attn.errors import UsageError, some
from attn.maps.gradcam import GradCam
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.stages.decode import DecodeVideos
from attn.storage.filesystem import open_filesystem, read_text, storage_errors
from attn.storage.ledger import Ledger
from attn.storage.manifest import Manifest
from attn.storage.writable import check_writable
from attn.video.found import keep_names, paths_of
from attn.video.sample import Fps, Sampling, Stride
from attn.video.source import Video, find_videos, label_videos
from attn.video.transform import PREPROCESSING

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "ray", "pyarrow", "av", "pillow", "numpy")


@dataclasses.dataclass(frozen=True)
class Plan(StorePlan):
    """An attention store and the CNN that makes its rows."""

    manifest: Manifest
    options: PrecomputeOptions
    cnn: Cnn

    @property
    def compute_settings(self) -> dict[str, object]:
        """Settings of `attn.stages.attention.ComputeMaps`, but for the device."""
        return {
            "columns": self.manifest.columns,
            "precision": self.options.precision,
            "alpha_reduce": self.options.alpha_reduce,
        }


def make_plan(options: PrecomputeOptions, *, cnn: Cnn | None = None, labelled: bool = True) -> Plan:
    """Reads what the flags name and checks that it fits together.

    Args:
        options: the flags.
        cnn: the CNN of `--weights`, if it was read before.
        labelled: whether the videos get labels, from their folders, tars and lists.

    Raises:
        UsageError: the first thing that does not.
    """
    _check_numbers(options)
    check_writable(options.out)
    cnn = cnn or _load(options)
    check_input_size(cnn)
    labels = read_labels(options.labels, cnn.class_names) if options.labels else {}
    ledger = Ledger.at(options.out)
    say(f"{options.videos}: looking for videos")
    listing = find_videos(options.videos)
    found = keep_names(listing.found, _held(ledger, options), options.out)
    videos = label_videos(found, cnn.class_names if labelled else (), labels)
    if options.lists:
        videos = _listed(options, videos, cnn.class_names)
    if labelled:
        _tell_unlabelled(videos)
    sampling = Fps(options.fps) if options.fps is not None else Stride(options.stride)
    manifest = _manifest(options, cnn, sampling)
    ledger.check(manifest, anew=options.overwrite)
    stage = DecodeVideos(
        sampling, cnn.input_size, options.batch_size, decoder=options.decoder, timeout_s=options.decode_timeout_s
    )
    return Plan(
        videos=videos,
        manifest=manifest,
        ledger=ledger,
        stage=stage,
        part_mb=options.part_mb,
        max_failed_fraction=options.max_failed_fraction,
        go_on=f"the same command{' without --overwrite' if options.overwrite else ''} goes on from here",
        left_out=listing.left_out,
        options=options,
        cnn=cnn,
    )


def _load(options: PrecomputeOptions) -> Cnn:
    names = _class_names(options.classes) if options.classes else None
    say(f"{options.weights}: loading the CNN")
    return load_weights(
        options.weights,
        backbone=options.backbone,
        classes=names,
        mean=options.mean,
        std=options.std,
        input_size=options.input_size,
        new_classifier=False,
    )


def _tell_unlabelled(videos: Sequence[Video]) -> None:
    """Counts them in the log: they are computed too, and no list is needed to score them, but to say how well."""
    if without := [video.video_id for video in videos if video.label is None]:
        log.info(
            "%d of %d videos have no label: %s. Their folder is not named as a class; --labels may tell it.",
            len(without),
            len(videos),
            some(without),
        )


def _held(ledger: Ledger, options: PrecomputeOptions) -> Collection[str]:
    """Ids of the videos that the store has, if it is to be finished."""
    with storage_errors(options.out):
        return {} if options.overwrite or not ledger.begun else ledger.completed()


def _listed(options: PrecomputeOptions, videos: list[Video], class_names: tuple[str, ...]) -> list[Video]:
    """The videos that one of the lists names; they get its labels where they have none."""
    named: dict[str, str] = {}
    for url in options.lists:
        found = paths_of(videos)
        split = read_split(url, class_names, present=found)
        present_videos(split, found, store=options.videos, where=url, allow_missing=True)
        named |= split
    ids = class_ids(class_names)
    return [
        dataclasses.replace(video, label=ids[named[video.video_id]] if video.label is None else video.label)
        for video in videos
        if video.video_id in named
    ]


def _class_names(url: str) -> tuple[str, ...]:
    return parse_class_list(read_text(*open_filesystem(url)).splitlines(), where=url)


def _check_numbers(options: PrecomputeOptions) -> None:
    if options.batch_size < 1:
        raise UsageError(f"--batch-size {options.batch_size}: give 1 or more")
    if options.input_size is not None and options.input_size < 1:
        raise UsageError(f"--input-size {options.input_size}: give 1 pixel or more")
    if options.part_mb < 1:
        raise UsageError(f"--part-mb {options.part_mb}: give 1 or more")
    if not options.decode_timeout_s > 0:
        raise UsageError(f"--decode-timeout-s {options.decode_timeout_s:g}: give a positive number of seconds")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: give a share from 0 to 1")
    if not options.columns:
        raise UsageError("--columns: name at least one of maps, logits, features, grid")


def _manifest(options: PrecomputeOptions, cnn: Cnn, sampling: Sampling) -> Manifest:
    with torch.inference_mode():
        probe = torch.zeros(1, 3, cnn.input_size, cnn.input_size)
        _, num_channels, height, width = cnn.backbone.eval().trunk(probe).shape
    return Manifest(
        class_names=cnn.class_names,
        backbone=cnn.backbone_name,
        weights_sha256=cnn.weights_sha256,
        map_layer=cnn.backbone.map_layer,
        alpha_reduce=options.alpha_reduce,
        input_size=cnn.input_size,
        mean=cnn.mean,
        std=cnn.std,
        preprocessing=PREPROCESSING,
        sampling={type(sampling).__name__.lower(): dataclasses.astuple(sampling)[0]},
        precision=options.precision,
        columns=tuple(sorted(set(options.columns))),
        num_channels=num_channels,
        map_shape=(height, width),
        informative={
            "map_route": GradCam.of(cnn.backbone.head).route,
            "python": platform.python_version(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "options": dataclasses.asdict(options),
        },
    )
