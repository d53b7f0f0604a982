"""Plan of a CNN's training: read and check all inputs before anything is started or written."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from attn.classes import spelling
from attn.commands.local_folder import local_folder
from attn.commands.train_cnn_flow import find_flow_videos, open_flow, start_flow_cnn
from attn.commands.training_videos import TrainingVideos, TrainingVideosRecord, find_training_videos
from attn.datasets.image_folder import ImageFolder, list_images
from attn.datasets.split import read_split
from attn.datasets.ucf101 import read_class_index
from attn.engine.filling import StorePlan
from attn.errors import UsageError
from attn.models.checkpoint import Cnn, check_input_size, load_weights, untrained_cnn
from attn.models.weights_file import read_weights_file
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.training.cnn_flags import VIDEO_FLAGS, filled
from attn.training.cnn_job import Fresh, TrainJob
from attn.training.cnn_options import TrainCnnOptions
from attn.training.finetune_config import START_SHARE
from attn.training.images import cache_key
from attn.training.pictures import Pictures, VideoFrames, WebImages
from attn.training.recipe import as_begun, check_recipe, unnamed_before
from attn.training.run import RUN, SUFFIX, TrainRun, chosen

log = logging.getLogger(__name__)

# Fields that do not affect the trained weights, and those that are covered by other entries of `decisive`.
CIRCUMSTANCES = {
    *("images", "out", "weights", "classes", "batchnorm", "videos", "modality", "flow", "flow_stack", *VIDEO_FLAGS),
    *("workers", "gpu", "cpus_per_worker", "cache", "mix_cache", "allow_untrained"),
}
LATER = ("lr_decay_after", "lr_decay")
BEFORE = {"epoch_updates": 1, "keep_by": "accuracy"}
"""Values of settings that trainings did not record before the settings existed."""
MIXED = "mixed_images"
"""Key of the mixed-in Web images, in `decisive` and in the records of a training."""


class PlannedTraining(NamedTuple):
    """Planned training.

    Attributes:
        run: training run with its folder.
        job: data for the workers; for videos, without `pictures` until the frames are decoded.
        cnn: initial network.
        footage: training videos; None for Web images.
        frames: plan of the frame store; None for Web images.
        videos: record of the videos of a flow store; None for other images.
    """

    run: TrainRun
    job: TrainJob
    cnn: Cnn
    footage: TrainingVideos | None = None
    frames: StorePlan | None = None
    videos: TrainingVideosRecord | None = None


def make_training(options: TrainCnnOptions) -> PlannedTraining:
    """Plan a training: read the inputs that the flags name and check that they are consistent.

    Raises:
        UsageError: an input is missing or invalid, or contradicts another one.
    """
    check_recipe(options)
    options = filled(_as_begun(options))
    if options.flow is not None:
        return _from_flow(options, options.flow)
    return _from_videos(options, options.videos) if options.videos else _from_images(options, str(options.images))


def _as_begun(options: TrainCnnOptions) -> TrainCnnOptions:
    """Return the options for resuming a training that was started before recipes or settings of `BEFORE` existed."""
    unrecorded = _unrecorded(options).items()
    options = dataclasses.replace(options, **{name: old for name, old in unrecorded if getattr(options, name) is None})
    begun = TrainRun(options.out, {}).begun_before_recipes()
    if begun is not None:
        log.info("%s: started before recipes existed. Resuming with --recipe paper.", options.out)
    return as_begun(options, begun)


def _unrecorded(options: TrainCnnOptions) -> dict[str, Any]:
    """Settings that the training in this folder did not record because they did not exist."""
    run = TrainRun(options.out, {}).read(RUN)
    return {} if run is None else {name: old for name, old in BEFORE.items() if name not in run.get("decisive", {})}


def _from_images(options: TrainCnnOptions, url: str) -> PlannedTraining:
    images = list_images(url, options.classes and read_class_index(options.classes))
    _check_several(url, images.class_names)
    cnn = start_cnn(options, images.class_names)
    pictures, digest = _web_images(url, images, cnn, options.validation_fraction or 0, options.seed)
    return _training(options, cnn, pictures, {"images": digest})


def _web_images(url: str, images: ImageFolder, cnn: Cnn, fraction: float, seed: int) -> tuple[WebImages, str]:
    """Return the images of a folder, with a fraction held out, and a digest of their names and sizes."""
    stats = _stat(url, images)
    versions = [f"{path}\t{count}\t{changed}" for path, (count, changed) in zip(images.paths, stats, strict=True)]
    listing = "\n".join(sorted(f"{name}\t{count}" for name, (count, _) in zip(images.names, stats, strict=True)))
    pictures = WebImages(
        image_names=images.names,
        paths=images.paths,
        labels=images.labels,
        cache_key=cache_key(versions, cnn.input_size, cnn.resampling),
        size=cnn.input_size,
        resampling=cnn.resampling,
        validation_fraction=fraction,
        seed=seed,
    )
    return pictures, hashlib.sha256(listing.encode()).hexdigest()[:16]


def _from_videos(options: TrainCnnOptions, url: str) -> PlannedTraining:
    names = (options.classes and read_class_index(options.classes)) or _listed_classes(options)
    _check_several(str(options.split), names)
    footage = find_training_videos(options, names)
    cnn = start_cnn(options, names)
    nothing_yet, decisive = VideoFrames(url, (), {}, frozenset()), footage.decisive
    mixed = None
    if options.mix_images is not None:
        # Folders of other classes are an error, unless --classes selects some classes.
        images = list_images(options.mix_images, names, no_others=options.classes is None)
        mixed, digest = _web_images(options.mix_images, images, cnn, *held_out_of(cnn.trained))
        decisive = {**decisive, MIXED: digest}
    training = _training(options, cnn, nothing_yet, decisive, mixed)
    return training._replace(footage=footage, frames=footage.plan(training.run, cnn))


def _from_flow(options: TrainCnnOptions, url: str) -> PlannedTraining:
    store = open_flow(url)
    names = (options.classes and read_class_index(options.classes)) or _listed_classes(options)
    _check_several(str(options.split), names)
    cnn, flow, crossed = start_flow_cnn(options, names, store)
    stacks, decisive, record = find_flow_videos(options, names, store, flow.length)
    return _training(options, cnn, stacks, decisive, crossed=crossed)._replace(videos=record)


def held_out_of(trained: Mapping[str, Any]) -> tuple[float, int]:
    """Return the fraction and the seed with which a checkpoint's training held out Web images.

    Args:
        trained: training record of the checkpoint; if it has no such values, the fraction is 0.
    """
    options = trained.get("options")
    of_images = options if isinstance(options, dict) and options.get("images") else {}
    record = trained.get(MIXED, of_images)
    fraction, seed = (
        record.get(name) if isinstance(record, dict) else None for name in ("validation_fraction", "seed")
    )
    if isinstance(fraction, float) and 0 < fraction < 1 and isinstance(seed, int) and seed >= 0:
        return fraction, seed
    return 0.0, 0


def _training(
    options: TrainCnnOptions,
    cnn: Cnn,
    pictures: Pictures,
    data: Mapping[str, Any],
    mixed: WebImages | None = None,
    crossed: bool = False,
) -> PlannedTraining:
    """Plan a training on images; with `crossed`, a CNN of images begins one of flow."""
    partial = options.batchnorm == "partial" or (options.batchnorm == "auto" and crossed)
    freeze = partial or options.batchnorm == "frozen" or (options.batchnorm == "auto" and options.weights is not None)
    if partial:
        data = {**data, "partial_batchnorm": True}
    run = TrainRun(options.out, _decisive(options, cnn, freeze, data))
    fresh: Fresh = "all" if options.weights is None else "classifier" if cnn.new_classifier else "nothing"
    job = TrainJob(
        options=options,
        class_names=cnn.class_names,
        pictures=pictures,
        epochs=options.epochs or 0,
        cache_folder=options.cache and local_folder(options.cache, "--cache"),
        fresh=fresh,
        start_share=start_share(options, "all" if crossed else fresh),
        mixed_folder=options.mix_cache and local_folder(options.mix_cache, "--mix-cache"),
        freeze_batchnorm=freeze,
        run_url=run.url,
        mixed=mixed,
        partial_batchnorm=partial,
    )
    return PlannedTraining(run, job, cnn)


def start_share(options: TrainCnnOptions, fresh: Fresh) -> float:
    """Return the share of the initial weights in the average; 0 for Web images and for new layers by default."""
    if options.start_share is not None:
        return options.start_share
    return START_SHARE if options.images is None and fresh == "nothing" else 0.0


def _listed_classes(options: TrainCnnOptions) -> tuple[str, ...]:
    """Return the classes of the split list, in the order of the checkpoint in --weights if they are the same.

    In this case, the classifier of the checkpoint is used. The list may give all of its names, or class numbers that
    can only refer to them.
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
            "%s: its class numbers do not cover all %d classes of %s, so they become class names of a new classifier. "
            "Give their names with --classes.",
            shown(url),
            len(known),
            shown(weights),
        )
    return listed


def _numbers_mean(url: str, labels: Mapping[str, str], known: tuple[str, ...]) -> bool:
    """Return whether a list gives all known classes by their numbers.

    If its paths have folders, at least one folder must contain several classes: a folder with only one class number may
    be a class with another name.
    """
    try:
        meant = read_split(url, known, part="train")
    except UsageError:  # the numbers do not match the known classes
        return False
    bare = all(map(str.isdecimal, labels.values()))
    several = len({(labels[one], name) for one, name in meant.items()}) > len(set(labels.values()))
    return (bare or several) and set(meant.values()) == set(known)


def _check_several(where: str, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise UsageError(f"{where}: contains only one class, {''.join(class_names)}. Give at least two.")


def start_cnn(options: TrainCnnOptions, class_names: tuple[str, ...]) -> Cnn:
    """Return the initial network; random weights depend only on the seed.

    Raises:
        UsageError: the backbone does not exist, the weights do not match it, or the input size is invalid.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.weights is None:
            cnn = untrained_cnn(options.backbone, class_names, options.mean, options.std, options.input_size)
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
    """Return the size and modification time of each image, so that the cache detects changed images."""
    root = Location.at(url)
    with root.errors():
        if root.is_local:
            found = [os.stat(path) for path in images.paths]
            return [(status.st_size, str(status.st_mtime_ns)) for status in found]
        listed: dict[str, Any] = dict(root.fs.find(root.path, detail=True))
        entries = [listed[(root / name).path] for name in images.names]
        return [(entry["size"], str(entry.get("LastModified") or entry.get("ETag"))) for entry in entries]


def _decisive(options: TrainCnnOptions, cnn: Cnn, freeze_batchnorm: bool, data: Mapping[str, Any]) -> dict[str, Any]:
    flags = [field.name for field in dataclasses.fields(options) if field.name not in CIRCUMSTANCES]
    unnamed = unnamed_before(options, TrainRun(options.out, {}).begun_before_recipes())
    unnamed |= _unrecorded(options)
    return {
        **chosen(options, flags, later=LATER, unnamed=unnamed),
        **data,
        "weights": cnn.weights_sha256[:16],
        "class_names": cnn.class_names,
        "input_size": cnn.input_size,
        "mean": cnn.mean,
        "std": cnn.std,
        "freeze_batchnorm": freeze_batchnorm,
        "preprocessing": str(cnn.resampling),
    }
