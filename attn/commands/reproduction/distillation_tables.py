"""Driver of jobs/reproduce.py --paper attention_distillation: plan, run and tables.

Running the same command again resumes an interrupted run; another seed or variant adds only the missing steps.
"""

import dataclasses
from typing import Any

from attn.commands.reproduction.checks import check_options
from attn.commands.reproduction.data import is_to_be_rendered, open_data, render, root_of
from attn.commands.reproduction.distillation_options import DISTILLATION_VARIANTS, DistillationTablesOptions
from attn.commands.reproduction.distillation_results import collect
from attn.commands.reproduction.distillation_steps import OF_VARIANTS, make_steps, needs_flow, settings_of
from attn.commands.reproduction.labelled_videos import check_videos, of_benchmark, write_lists
from attn.commands.reproduction.plan_file import check_unchanged, with_earlier, write_plan
from attn.commands.reproduction.reproduce import list_steps, run_and_tell, with_absolute_paths, with_settings
from attn.datasets.boxes import BoxFolder
from attn.errors import UsageError
from attn.models.clip_backbone import plan_of
from attn.models.clip_weights import read_clip_weights
from attn.report.distillation_tables import tables
from attn.stages.clip_config import ClipConfig
from attn.stages.flow.compute import open_flow_model
from attn.storage.filesystem import join
from attn.storage.writable import check_writable

JOBS = ("decode_frames", "precompute_flow", "train_clip_cnn", "precompute", "evaluate")
SYNTHETIC = {"input_size": 64, "flow_bound": 4.0}
DEFAULTS = {"input_size": 128, "flow_bound": 20.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "synthetic": {
        "backbone": "small_clip_cnn",
        "step": 2,
        "crop": 56,
        "batch": 8,
        "epochs": 50,
        "lr": 0.01,
        "dropout": 0.0,
        "weight_decay": 1e-3,
        "prior_weight": 0.1,
        # The twin of a held-out video would be in the training set under the other class.
        "holdout_fraction": 0.0,
    },
}
"""Settings of a data set for those that flags leave at their defaults."""
WITHOUT_WEIGHTS = ("small_clip_cnn",)
"""Backbones without trained weights."""


def reproduce_distillation(options: DistillationTablesOptions) -> int:
    """Run or resume the trainings and write `tables.md`, `tables.csv` and `tables.json`.

    Returns:
        The exit code.

    Raises:
        UsageError: an option or an input is invalid; raised before the first step.
    """
    options = _resolved(options)
    _check(options)
    check_writable(options.out)
    check_unchanged(options, "clip_cnn")
    videos = of_benchmark(open_data(options), options)
    check_videos(videos, options)
    _check_inputs(options)
    steps, cells = make_steps(videos, options)
    if options.dry_run:
        return list_steps(steps, cells)
    if is_to_be_rendered(options):
        render(options)
    write_lists(videos, options)
    write_plan(options, steps)
    return run_and_tell(
        *(steps, options, JOBS),
        lambda failed: collect(options, videos, [cell for cell in cells if cell.scores not in failed], failed),
        tables,
    )


def _resolved(options: DistillationTablesOptions) -> DistillationTablesOptions:
    """Return the options with the defaults of the data set filled in and all paths made absolute."""
    settings = _with_data_settings(options) if options.data_settings else options.clip_cnn
    defaults: dict[str, Any] = dict(SYNTHETIC if options.dataset == "synthetic" else DEFAULTS)
    defaults["weights"] = None if settings.backbone in WITHOUT_WEIGHTS else "kinetics"
    if options.dataset == "synthetic":
        defaults["boxes"] = join(root_of(options), "boxes")
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    variants = with_earlier(options, DISTILLATION_VARIANTS)
    return with_absolute_paths(dataclasses.replace(options, **missing, variants=variants, clip_cnn=settings))


def _with_data_settings(options: DistillationTablesOptions) -> ClipConfig:
    return with_settings(options.clip_cnn, SETTINGS.get(options.dataset, {}))


def _check(options: DistillationTablesOptions) -> None:
    check_options(options)
    if not options.variants:
        raise UsageError("--variants: empty. Name at least one.")
    if not 0 < float(options.flow_bound or 0) < float("inf"):
        raise UsageError(f"--flow-bound {options.flow_bound:g}: must be a positive number of pixels.")
    set_by = {**dict.fromkeys(OF_VARIANTS, "--variants"), "seed": "--seeds"}
    for name, owner in set_by.items():
        value = getattr(options.clip_cnn, name)
        if value != getattr(ClipConfig(), name):
            raise UsageError(f"--clip-cnn.{name.replace('_', '-')} {value}: set by {owner}. Leave it out.")
    if options.clip_cnn.attention == "none":
        raise UsageError("--clip-cnn.attention none: set by --variants rgb. Leave it out.")
    try:
        for variant in options.variants:
            settings_of(variant, options, options.seeds[0])
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--clip-cnn.")) from error
    size, crop = int(options.input_size or 0), options.clip_cnn.crop
    if crop is not None and crop > size:
        raise UsageError(f"--clip-cnn.crop {crop}: larger than --input-size {size}. Change one.")


def _check_inputs(options: DistillationTablesOptions) -> None:
    """Check backbone, weights, algorithm of the flow and boxes.

    Raises:
        UsageError: one of them is missing or unknown.
    """
    plan_of(options.clip_cnn.backbone)
    if options.weights is not None:
        read_clip_weights(options.weights, options.clip_cnn.backbone)
    if needs_flow(options):
        open_flow_model(options.flow_algorithm, options.flow_weights, size=int(options.input_size or 0))
    if options.boxes is not None and not is_to_be_rendered(options):
        BoxFolder(options.boxes)
