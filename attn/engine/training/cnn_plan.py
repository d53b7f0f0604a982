"""Everything a training can know, and refuse, before it starts anything."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any

import torch

from attn.classes import parse_class_list, spelling
from attn.datasets.image_folder import ImageFolder, list_images
from attn.datasets.split import read_split
from attn.engine.options import TrainCnnOptions
from attn.engine.training.cnn_flags import VIDEO_FLAGS, filled
from attn.engine.training.cnn_job import Fresh, PlannedTraining, TrainJob
from attn.engine.training.run import SUFFIX, TrainRun, chosen
from attn.engine.training.training_videos import find_training_videos
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, check_input_size, load_weights
from attn.models.imagenet import IMAGENET_INPUT_SIZE, IMAGENET_MEAN, IMAGENET_STD
from attn.models.weights_file import read_weights_file
from attn.stages.finetune_config import START_SHARE
from attn.stages.images import cache_key
from attn.stages.pictures import Pictures, VideoFrames, WebImages
from attn.stages.recipe import as_begun, check_recipe, unnamed_before
from attn.storage.error_messages import shown
from attn.storage.filesystem import is_local, open_filesystem, read_text, storage_errors
from attn.video.transform import PREPROCESSING

log = logging.getLogger(__name__)

# Flags that say where and how fast, not what is learnt; and those that `TrainingVideos.decisive` speaks of.
CIRCUMSTANCES = {
    *("images", "out", "weights", "classes", "batchnorm", "videos", *VIDEO_FLAGS),
    *("workers", "gpu", "cpus_per_worker", "cache", "mix_cache", "allow_untrained"),
}
LATER = ("lr_decay_after", "lr_decay")
MIXED = "mixed_images"
"""Name of the Web images that are learnt beside frames, in what decides a training and in the records of one."""


def make_training(options: TrainCnnOptions) -> PlannedTraining:
    """Reads what the flags name and checks that it fits together.

    Raises:
        UsageError: the first thing that does not fit.
    """
    check_recipe(options)
    options = filled(_as_begun(options))
    return _from_videos(options, options.videos) if options.videos else _from_images(options, str(options.images))


def _as_begun(options: TrainCnnOptions) -> TrainCnnOptions:
    """Options with which a training begun before there were recipes resumes: those it began with."""
    begun = TrainRun(options.out, {}).begun_before_recipes()
    if begun is not None:
        log.info("%s was begun before there were recipes; it resumes with --recipe paper", options.out)
    return as_begun(options, begun)


def _from_images(options: TrainCnnOptions, url: str) -> PlannedTraining:
    images = list_images(url, _class_names(options.classes))
    _check_several(url, images.class_names)
    cnn = start_cnn(options, images.class_names)
    pictures, digest = _web_images(url, images, cnn.input_size, options.validation_fraction or 0, options.seed)
    return _training(options, cnn, pictures, {"images": digest})


def _web_images(url: str, images: ImageFolder, size: int, fraction: float, seed: int) -> tuple[WebImages, str]:
    """The images of a folder, a fraction held out; and a digest of what they are, wherever they lie."""
    stats = _stat(url, images)
    versions = [f"{path}\t{count}\t{changed}" for path, (count, changed) in zip(images.paths, stats, strict=True)]
    listing = "\n".join(sorted(f"{name}\t{count}" for name, (count, _) in zip(images.names, stats, strict=True)))
    pictures = WebImages(
        image_names=images.names,
        paths=images.paths,
        labels=images.labels,
        cache_key=cache_key(versions, size),
        size=size,
        validation_fraction=fraction,
        seed=seed,
    )
    return pictures, hashlib.sha256(listing.encode()).hexdigest()[:16]


def _from_videos(options: TrainCnnOptions, url: str) -> PlannedTraining:
    names = _class_names(options.classes) or _listed_classes(options)
    _check_several(str(options.split), names)
    footage = find_training_videos(options, names)
    cnn = start_cnn(options, names)
    nothing_yet, decisive = VideoFrames(url, (), {}, frozenset()), footage.decisive
    mixed = None
    if options.mix_images is not None:
        # Folders of other classes are a mistake, unless the classes were chosen by name.
        images = list_images(options.mix_images, names, no_others=options.classes is None)
        mixed, digest = _web_images(options.mix_images, images, cnn.input_size, *held_out_of(cnn.trained))
        decisive = {**decisive, MIXED: digest}
    training = _training(options, cnn, nothing_yet, decisive, mixed)
    return training._replace(footage=footage, frames=footage.plan(training.run, cnn.input_size))


def held_out_of(trained: Mapping[str, Any]) -> tuple[float, int]:
    """Share of each class, and seed, that a checkpoint's training on Web images held out of them.

    Args:
        trained: the record in the checkpoint. One that does not tell gives a share of 0.
    """
    options = trained.get("options")
    of_images = options if isinstance(options, dict) and options.get("images") else {}
    told = trained.get(MIXED, of_images)
    fraction, seed = (told.get(name) if isinstance(told, dict) else None for name in ("validation_fraction", "seed"))
    if isinstance(fraction, float) and 0 < fraction < 1 and isinstance(seed, int) and seed >= 0:
        return fraction, seed
    return 0.0, 0


def _training(
    options: TrainCnnOptions,
    cnn: Cnn,
    pictures: Pictures,
    learnt_from: Mapping[str, Any],
    mixed: WebImages | None = None,
) -> PlannedTraining:
    freeze = options.batchnorm == "frozen" or (options.batchnorm == "auto" and options.weights is not None)
    run = TrainRun(options.out, _decisive(options, cnn, freeze, learnt_from))
    fresh: Fresh = "all" if options.weights is None else "classifier" if cnn.new_classifier else "nothing"
    job = TrainJob(
        options=options,
        class_names=cnn.class_names,
        pictures=pictures,
        epochs=options.epochs or 0,
        cache_folder=_cache_folder(options.cache),
        fresh=fresh,
        start_share=start_share(options, fresh),
        mixed_folder=_cache_folder(options.mix_cache, flag="--mix-cache"),
        freeze_batchnorm=freeze,
        run_url=run.url,
        mixed=mixed,
    )
    return PlannedTraining(run, job, cnn)


def start_share(options: TrainCnnOptions, fresh: Fresh) -> float:
    """Share of the start in what is kept: it is worth keeping if it knows the classes, and videos change it."""
    if options.start_share is not None:
        return options.start_share
    return START_SHARE if options.videos is not None and fresh == "nothing" else 0.0


def _listed_classes(options: TrainCnnOptions) -> tuple[str, ...]:
    """Classes of the split list; those of the start checkpoint, in its order, if the list means them.

    Its classifier is kept then. A list means them by all of their names, or by numbers that can only be theirs.
    """
    url, weights = str(options.split), options.weights or ""
    labels = read_split(url, part="train")
    listed = tuple(sorted(set(labels.values())))
    described = read_weights_file(weights).described if weights.endswith(SUFFIX) else None
    known = described.class_names if described else ()
    if sorted(map(spelling, known)) == sorted(map(spelling, listed)) or _numbers_mean(url, labels, known):
        return known
    if known and all(map(str.isdecimal, listed)):
        log.warning(
            "%s: its numbers do not stand for all %d classes of %s. They become class names with a new classifier; "
            "--classes tells which they mean.",
            shown(url),
            len(known),
            shown(weights),
        )
    return listed


def _numbers_mean(url: str, labels: Mapping[str, str], known: tuple[str, ...]) -> bool:
    """Whether a list names all known classes by their numbers alone: some folder, if it tells any, holds several.

    A folder whose videos all have one number may be a class itself, by another name than the known one.
    """
    try:
        meant = read_split(url, known, part="train")
    except UsageError:  # they do not fit
        return False
    bare = all(map(str.isdecimal, labels.values()))
    several = len({(labels[one], name) for one, name in meant.items()}) > len(set(labels.values()))
    return (bare or several) and set(meant.values()) == set(known)


def _check_several(where: str, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise UsageError(f"{where} holds one class, {''.join(class_names)}; there is nothing to tell apart")


def _class_names(url: str | None) -> tuple[str, ...] | None:
    return parse_class_list(read_text(*open_filesystem(url)).splitlines(), where=url) if url else None


def _cache_folder(given: str | None, *, flag: str = "--cache") -> str | None:
    if given is None:
        return None
    fs, path = open_filesystem(given)
    if not is_local(fs):
        raise UsageError(f"{flag} {given}: pixels are mapped into memory; give a folder on a disk of the machine")
    return path


def start_cnn(options: TrainCnnOptions, class_names: tuple[str, ...]) -> Cnn:
    """The network before the first update; what is drawn follows from the seed.

    Raises:
        UsageError: no such network, weights that do not fit it, an input that is too small.
    """
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
    options: TrainCnnOptions, cnn: Cnn, freeze_batchnorm: bool, learnt_from: Mapping[str, Any]
) -> dict[str, Any]:
    flags = [field.name for field in dataclasses.fields(options) if field.name not in CIRCUMSTANCES]
    unnamed = unnamed_before(options, TrainRun(options.out, {}).begun_before_recipes())
    return {
        **chosen(options, flags, later=LATER, unnamed=unnamed),
        **learnt_from,
        "weights": cnn.weights_sha256[:16],
        "class_names": cnn.class_names,
        "input_size": cnn.input_size,
        "mean": cnn.mean,
        "std": cnn.std,
        "freeze_batchnorm": freeze_batchnorm,
        "preprocessing": PREPROCESSING,
    }
