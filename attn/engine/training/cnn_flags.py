"""The flags of a CNN's training: which go together, and what is meant where one is left away."""

import dataclasses

from attn.engine.options import TrainCnnOptions
from attn.errors import UsageError
from attn.stages.finetune_config import CLIP_NORM, DRAWN_LR, LR, MIXED_LR, SCRATCH_LR
from attn.stages.recipe import check_recipe

VIDEO_FLAGS = (
    *("split", "fraction", "stride", "fps", "frames", "mix_images", "mix_cache"),
    *("allow_missing", "max_failed_fraction"),
)

# Source: Li et al. 2017, section 4.2 (30 % of the images); the others are this project's.
EPOCHS_OF_IMAGES, EPOCHS_OF_VIDEOS = 30, 10
HELD_OUT_IMAGES, HELD_OUT_VIDEOS = 0.3, 0.1


def resolve(options: TrainCnnOptions) -> TrainCnnOptions:
    """The flags with epochs, validation fraction, clipping and the rate of drawn layers filled in.

    Raises:
        UsageError: flags that do not go together, or a number that cannot be.
    """
    check_recipe(options)
    return filled(options)


def filled(options: TrainCnnOptions) -> TrainCnnOptions:
    """Same options, without the check against a recipe.

    Raises:
        UsageError: as above.
    """
    _check_source(options)
    images = options.videos is None
    defaults = {
        "clip_norm": 0.0 if options.weights is None else CLIP_NORM,
        "lr": LR if options.mix_images is None else MIXED_LR,
        "head_lr": SCRATCH_LR if options.weights is None else DRAWN_LR,
        "epochs": EPOCHS_OF_IMAGES if images else EPOCHS_OF_VIDEOS,
        "validation_fraction": HELD_OUT_IMAGES if images else HELD_OUT_VIDEOS,
    }
    left_away = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    options = dataclasses.replace(options, **left_away)
    _check_numbers(options)
    return options


def own_batch_size(options: TrainCnnOptions) -> int:
    """Pictures of one update at most, without the Web images that are mixed in: half of them, or one more."""
    return options.batch_size if options.mix_images is None else -(-options.batch_size // 2)


def _check_source(options: TrainCnnOptions) -> None:
    if (options.images is None) == (options.videos is None):
        raise UsageError("give --images or --videos, one of the two")
    if options.videos is not None and options.split is None:
        raise UsageError("--videos needs --split, the data set's list of training videos")
    if options.images is not None:
        for field in dataclasses.fields(options):
            if field.name in VIDEO_FLAGS and getattr(options, field.name) != field.default:
                raise UsageError(f"--{field.name.replace('_', '-')} is about --videos; leave it away with --images")


def _check_numbers(options: TrainCnnOptions) -> None:
    for flag in ("epochs", "batch_size", "workers"):
        if getattr(options, flag) < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {getattr(options, flag)}: give 1 or more")
    if options.cpus_per_worker is not None and options.cpus_per_worker < 1:
        raise UsageError(f"--cpus-per-worker {options.cpus_per_worker}: give 1 or more")
    if options.mix_images is not None and options.batch_size < 2:
        raise UsageError(
            f"--batch-size {options.batch_size}: an update with --mix-images is a frame and a Web image at least. "
            "Give 2 or more."
        )
    if options.workers > own_batch_size(options):
        noun = "images" if options.mix_images is None else "frames"
        raise UsageError(f"--workers {options.workers} cannot share batches of {own_batch_size(options)} {noun}")
    for flag in ("lr", "head_lr"):
        if not 0 < getattr(options, flag) < float("inf"):
            raise UsageError(f"--{flag.replace('_', '-')} {getattr(options, flag):g}: give a number above 0")
    if options.warmup < 0:
        raise UsageError(f"--warmup {options.warmup}: give 0 or more updates")
    if not 0 <= (options.clip_norm or 0) < float("inf"):
        raise UsageError(f"--clip-norm {options.clip_norm:g}: give a length above 0, or 0 for none")
    if not 0 <= (options.start_share or 0) < 1:
        raise UsageError(f"--start-share {options.start_share:g}: give a share from 0 to below 1")
    if not 0 <= options.lr_decay_after <= 1:
        raise UsageError(f"--lr-decay-after {options.lr_decay_after:g}: give a share from 0 to 1; 1 for no decay")
    if not 0 < options.lr_decay <= 1:
        raise UsageError(f"--lr-decay {options.lr_decay:g}: give a share above 0 and up to 1; 1 for no decay")
    if not 0 <= options.momentum < 1:
        raise UsageError(f"--momentum {options.momentum:g}: give a number from 0 to below 1")
    if not 0 <= options.weight_decay < float("inf"):
        raise UsageError(f"--weight-decay {options.weight_decay:g}: give 0 or more")
    if not 0 < (options.validation_fraction or 0) < 1:
        raise UsageError(f"--validation-fraction {options.validation_fraction:g}: give a share between 0 and 1")
    if not 0 < options.fraction <= 1:
        raise UsageError(f"--fraction {options.fraction:g}: give a share above 0 and up to 1")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: give a share from 0 to 1")
    if options.near_duplicates is not None:
        if options.images is None:
            raise UsageError("--near-duplicates is about --images; frames of a video are near-duplicates anyway")
        if not 0 < options.near_duplicates <= 1:
            raise UsageError(f"--near-duplicates {options.near_duplicates:g}: give a similarity above 0 and up to 1")
    if options.input_size is not None and options.input_size < 1:
        raise UsageError(f"--input-size {options.input_size}: give 1 or more pixels")
    if options.std is not None and not min(options.std) > 0:
        raise UsageError(f"--std {' '.join(map(str, options.std))}: give numbers above 0")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: give 0 or more")
