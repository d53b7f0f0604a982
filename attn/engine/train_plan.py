"""Everything a training can know, and refuse, before it starts anything."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from attn.classes import parse_class_list
from attn.datasets.image_folder import ImageFolder, list_images
from attn.engine.options import TrainCnnOptions
from attn.engine.train_run import TrainRun
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.models.imagenet import IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD
from attn.stages.images import cache_key
from attn.storage.filesystem import is_local, open_filesystem, read_text, storage_errors
from attn.video.transform import PREPROCESSING

# Flags that say where and how fast, not what is learnt.
CIRCUMSTANCES = {"images", "out", "weights", "classes", "batchnorm", "workers", "gpu", "cache"}


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """One training as plain data: what a worker must know, wherever it runs.

    Attributes:
        options: flags; those that were left to the program are resolved in the fields below.
        class_names: of the outputs.
        names: of the images, relative to their folder.
        paths: of the images, local or URLs.
        labels: their class ids.
        input_size: side of the CNN's input, in pixels.
        cache_key: of the prepared images.
        cache_folder: on each machine; None for a temporary one.
        fresh: the part of the network that was just drawn.
        freeze_batchnorm: keep its statistics.
        run_url: folder beside the output.
    """

    options: TrainCnnOptions
    class_names: tuple[str, ...]
    names: Sequence[str]
    paths: Sequence[str]
    labels: np.ndarray
    input_size: int
    cache_key: str
    cache_folder: str | None
    fresh: Literal["all", "classifier", "nothing"]
    freeze_batchnorm: bool
    run_url: str


def make_training(options: TrainCnnOptions) -> tuple[TrainRun, TrainJob, Cnn]:
    """Reads what the flags name and checks that it fits together.

    Returns:
        The training and its folder, what its workers must know, the network they start from.

    Raises:
        UsageError: the first thing that does not fit.
    """
    _check_numbers(options)
    images = list_images(options.images, _class_names(options.classes))
    if len(images.class_names) < 2:
        raise UsageError(
            f"{options.images} holds one class, {''.join(images.class_names)}; there is nothing to tell apart"
        )
    cnn = _start(options, images.class_names)
    stats = _stat(options.images, images)
    versions = [f"{path}\t{size}\t{changed}" for path, (size, changed) in zip(images.paths, stats, strict=True)]
    freeze = options.batchnorm == "frozen" or (options.batchnorm == "auto" and options.weights is not None)
    run = TrainRun(options.out, _decisive(options, cnn, freeze, images, [size for size, _ in stats]))
    job = TrainJob(
        options=options,
        class_names=images.class_names,
        names=images.names,
        paths=images.paths,
        labels=images.labels,
        input_size=cnn.input_size,
        cache_key=cache_key(versions, cnn.input_size),
        cache_folder=_cache_folder(options.cache),
        fresh="all" if options.weights is None else "classifier" if cnn.new_classifier else "nothing",
        freeze_batchnorm=freeze,
        run_url=run.url,
    )
    return run, job, cnn


def _check_numbers(options: TrainCnnOptions) -> None:
    for flag in ("epochs", "batch_size", "workers"):
        if getattr(options, flag) < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {getattr(options, flag)}: give 1 or more")
    if options.workers > options.batch_size:
        raise UsageError(f"--workers {options.workers} cannot share batches of {options.batch_size} images")
    for flag in ("lr", "head_lr"):
        if not 0 < getattr(options, flag) < float("inf"):
            raise UsageError(f"--{flag.replace('_', '-')} {getattr(options, flag):g}: give a number above 0")
    if not 0 <= options.momentum < 1:
        raise UsageError(f"--momentum {options.momentum:g}: give a number from 0 to below 1")
    if not 0 <= options.weight_decay < float("inf"):
        raise UsageError(f"--weight-decay {options.weight_decay:g}: give 0 or more")
    if not 0 < options.validation_fraction < 1:
        raise UsageError(f"--validation-fraction {options.validation_fraction:g}: give a share between 0 and 1")
    if options.input_size is not None and options.input_size < 1:
        raise UsageError(f"--input-size {options.input_size}: give 1 or more pixels")
    if options.std is not None and not min(options.std) > 0:
        raise UsageError(f"--std {' '.join(map(str, options.std))}: give numbers above 0")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: give 0 or more")


def _class_names(url: str | None) -> tuple[str, ...] | None:
    return parse_class_list(read_text(*open_filesystem(url)).splitlines(), where=url) if url else None


def _cache_folder(given: str | None) -> str | None:
    if given is None:
        return None
    fs, path = open_filesystem(given)
    if not is_local(fs):
        raise UsageError(f"--cache {given}: pixels are mapped into memory; give a folder on a disk of the machine")
    return path


def _start(options: TrainCnnOptions, class_names: tuple[str, ...]) -> Cnn:
    """The network before the first update; what is drawn follows from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.weights is None:
            size, mean = options.input_size or IMAGENET_INPUT_SIZE, options.mean or IMAGENET_MEAN
            backbone = build_backbone(options.backbone, len(class_names))
            cnn = Cnn(backbone, options.backbone, class_names, size, mean, options.std or IMAGENET_STD)
        else:
            cnn = load_weights(
                options.weights,
                options.backbone,
                class_names,
                options.mean,
                options.std,
                options.input_size,
                new_classifier=True,
            )
    check_input_size(cnn)
    return cnn


def _stat(url: str, images: ImageFolder) -> list[tuple[int, str]]:
    """Bytes and time of change of each image, as the storage tells them: the cache must follow a changed image."""
    fs, root = open_filesystem(url)
    with storage_errors(url):
        if is_local(fs):
            found = [os.stat(path) for path in images.paths]
            return [(status.st_size, str(status.st_mtime_ns)) for status in found]
        listed: dict[str, Any] = dict(fs.find(root, detail=True))
        entries = [listed[f"{root.rstrip('/')}/{name}"] for name in images.names]
        return [(entry["size"], str(entry.get("LastModified") or entry.get("ETag"))) for entry in entries]


def _decisive(
    options: TrainCnnOptions, cnn: Cnn, freeze_batchnorm: bool, images: ImageFolder, sizes: list[int]
) -> dict[str, Any]:
    listing = "\n".join(sorted(f"{name}\t{size}" for name, size in zip(images.names, sizes, strict=True)))
    flags = {key: value for key, value in dataclasses.asdict(options).items() if key not in CIRCUMSTANCES}
    return {
        **flags,
        "images": hashlib.sha256(listing.encode()).hexdigest()[:16],
        "weights": cnn.weights_sha256[:16],
        "class_names": cnn.class_names,
        "input_size": cnn.input_size,
        "mean": cnn.mean,
        "std": cnn.std,
        "freeze_batchnorm": freeze_batchnorm,
        "preprocessing": PREPROCESSING,
    }
