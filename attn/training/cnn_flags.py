"""Flags of a CNN's training: valid combinations, and defaults that depend on other flags."""

import dataclasses

from attn.errors import UsageError
from attn.models.weights_file import MOST_STACKED
from attn.training.cnn_options import TrainCnnOptions
from attn.training.finetune_config import CLIP_NORM, DRAWN_LR, LR, MIXED_LR, SCRATCH_LR
from attn.training.recipe import check_recipe

VIDEO_FLAGS = (
    *("split", "fraction", "stride", "fps", "frames", "mix_images", "mix_cache"),
    *("allow_missing", "max_failed_fraction"),
)

NOT_OF_FLOW = (
    *("stride", "fps", "frames", "mix_images", "mix_cache", "max_failed_fraction"),
    *("mean", "std", "input_size", "near_duplicates"),
)

# Source: Li et al. 2017, section 4.2 (30 % of the images). The other values are choices of this project.
EPOCHS_OF_IMAGES, EPOCHS_OF_VIDEOS = 30, 10
# With 10 videos of UCF101, 10 epochs of one update each left the loss on held-out training videos at 1.5; it settled
# after 150 updates.
UPDATES_OF_IMAGES, UPDATES_OF_VIDEOS = 1, 30
HELD_OUT_IMAGES, HELD_OUT_VIDEOS = 0.3, 0.1


def resolve(options: TrainCnnOptions) -> TrainCnnOptions:
    """Return the options with defaults for epochs, updates, validation fraction, clipping and learning rates.

    Raises:
        UsageError: flags contradict each other, or a number is out of range.
    """
    check_recipe(options)
    return filled(options)


def filled(options: TrainCnnOptions) -> TrainCnnOptions:
    """Return the same as `resolve`, without the check against the recipe.

    Raises:
        UsageError: as in `resolve`.
    """
    _check_source(options)
    images = options.images is not None
    defaults = {
        "clip_norm": 0.0 if options.weights is None else CLIP_NORM,
        "lr": LR if options.mix_images is None else MIXED_LR,
        "head_lr": SCRATCH_LR if options.weights is None else DRAWN_LR,
        "epochs": EPOCHS_OF_IMAGES if images else EPOCHS_OF_VIDEOS,
        "epoch_updates": UPDATES_OF_IMAGES if images else UPDATES_OF_VIDEOS,
        "validation_fraction": HELD_OUT_IMAGES if images else HELD_OUT_VIDEOS,
        "keep_by": "accuracy" if images else "loss",
    }
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    options = dataclasses.replace(options, **missing)
    _check_numbers(options)
    return options


def own_batch_size(options: TrainCnnOptions) -> int:
    """Return the batch size without mixed-in Web images, which take half of the batch, rounded down."""
    return options.batch_size if options.mix_images is None else -(-options.batch_size // 2)


def _check_source(options: TrainCnnOptions) -> None:
    if sum(source is not None for source in (options.images, options.videos, options.flow)) != 1:
        raise UsageError("--images, --videos or --flow: exactly one is required. Give one of them.")
    if (options.modality == "flow") != (options.flow is not None):
        raise UsageError(f"--modality {options.modality}: contradicts --flow. Give both or neither.")
    if options.images is None and options.split is None:
        flag = "--videos" if options.flow is None else "--flow"
        raise UsageError(f"{flag}: requires --split. Give --split the data set's list of training videos.")
    if options.flow is not None:
        _check_flow(options)
    elif options.flow_stack is not None:
        raise UsageError("--flow-stack: applies only to --flow. Leave it out.")
    if options.images is not None:
        for field in dataclasses.fields(options):
            if field.name in VIDEO_FLAGS and getattr(options, field.name) != field.default:
                flag = f"--{field.name.replace('_', '-')}"
                raise UsageError(f"{flag}: applies only to --videos. Leave it out with --images.")


def _check_flow(options: TrainCnnOptions) -> None:
    """Refuse flags of images: the flow store decides size, preprocessing and sampling."""
    for field in dataclasses.fields(options):
        if field.name in NOT_OF_FLOW and getattr(options, field.name) != field.default:
            raise UsageError(f"--{field.name.replace('_', '-')}: does not apply to --flow. Leave it out.")
    if options.flow_stack is not None and not 1 <= options.flow_stack <= MOST_STACKED:
        raise UsageError(f"--flow-stack {options.flow_stack}: out of range. Give a number from 1 to {MOST_STACKED}.")


def _check_numbers(options: TrainCnnOptions) -> None:
    for flag in ("epochs", "epoch_updates", "batch_size", "workers"):
        if getattr(options, flag) < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {getattr(options, flag)}: too small. Give 1 or more.")
    if options.cpus_per_worker is not None and options.cpus_per_worker < 1:
        raise UsageError(f"--cpus-per-worker {options.cpus_per_worker}: too small. Give 1 or more.")
    if options.mix_images is not None and options.batch_size < 2:
        raise UsageError(
            f"--batch-size {options.batch_size}: a batch with --mix-images has at least one frame and one Web image. "
            "Give 2 or more."
        )
    if options.workers > own_batch_size(options):
        noun = "images" if options.mix_images is None else "frames"
        most = own_batch_size(options)
        raise UsageError(f"--workers {options.workers}: a batch has only {most} {noun}. Give {most} or fewer.")
    for flag in ("lr", "head_lr"):
        if not 0 < getattr(options, flag) < float("inf"):
            raise UsageError(
                f"--{flag.replace('_', '-')} {getattr(options, flag):g}: out of range. Give a number above 0."
            )
    if options.warmup < 0:
        raise UsageError(f"--warmup {options.warmup}: too small. Give 0 or more updates.")
    if not 0 <= (options.clip_norm or 0) < float("inf"):
        raise UsageError(f"--clip-norm {options.clip_norm:g}: out of range. Give a norm above 0, or 0 for no clipping.")
    if not 0 <= (options.start_share or 0) < 1:
        raise UsageError(f"--start-share {options.start_share:g}: out of range. Give a number from 0 to below 1.")
    if not 0 <= options.lr_decay_after <= 1:
        raise UsageError(
            f"--lr-decay-after {options.lr_decay_after:g}: out of range. Give a number from 0 to 1; 1 for no decay."
        )
    if not 0 < options.lr_decay <= 1:
        raise UsageError(
            f"--lr-decay {options.lr_decay:g}: out of range. Give a number above 0 and up to 1; 1 for no decay."
        )
    if not 0 <= options.momentum < 1:
        raise UsageError(f"--momentum {options.momentum:g}: out of range. Give a number from 0 to below 1.")
    if not 0 <= options.weight_decay < float("inf"):
        raise UsageError(f"--weight-decay {options.weight_decay:g}: out of range. Give 0 or more.")
    if not 0 < (options.validation_fraction or 0) < 1:
        raise UsageError(
            f"--validation-fraction {options.validation_fraction:g}: out of range. Give a number between 0 and 1."
        )
    if not 0 < options.fraction <= 1:
        raise UsageError(f"--fraction {options.fraction:g}: out of range. Give a number above 0 and up to 1.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(
            f"--max-failed-fraction {options.max_failed_fraction:g}: out of range. Give a number from 0 to 1."
        )
    if options.near_duplicates is not None:
        if options.images is None:
            raise UsageError("--near-duplicates: applies only to --images. Leave it out with --videos.")
        if not 0 < options.near_duplicates <= 1:
            raise UsageError(
                f"--near-duplicates {options.near_duplicates:g}: out of range. Give a number above 0 and up to 1."
            )
    if options.input_size is not None and options.input_size < 1:
        raise UsageError(f"--input-size {options.input_size}: too small. Give 1 or more pixels.")
    if options.std is not None and not min(options.std) > 0:
        raise UsageError(f"--std {' '.join(map(str, options.std))}: out of range. Give numbers above 0.")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: too small. Give 0 or more.")
