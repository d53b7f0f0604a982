"""Driver of jobs/reproduce.py --paper soft_attention: plan, run and tables of the soft-attention LSTM.

Running the same command again resumes an interrupted run; another seed or variant adds only the missing steps.
"""

import dataclasses
from typing import Any

from attn.commands.reproduction.checks import check_options
from attn.commands.reproduction.data import is_to_be_rendered, render
from attn.commands.reproduction.labelled_videos import LabelledVideos, check_videos, write_lists
from attn.commands.reproduction.plan_file import check_unchanged, with_earlier, write_plan
from attn.commands.reproduction.reproduce import list_steps, run_and_tell, with_absolute_paths, with_settings
from attn.commands.reproduction.reproduce_options import VARIANTS, SoftAttentionTablesOptions
from attn.commands.reproduction.soft_attention_data import open_videos
from attn.commands.reproduction.soft_attention_results import collect
from attn.commands.reproduction.soft_attention_steps import OF_VARIANTS, make_steps, settings_of
from attn.commands.train_cnn_plan import start_cnn
from attn.datasets.image_folder import list_images
from attn.engine.step import Step
from attn.errors import UsageError
from attn.models.checkpoint import load_weights
from attn.report.soft_attention_tables import tables
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.writable import check_writable
from attn.training.cnn_flags import resolve
from attn.training.cnn_options import TrainCnnOptions

JOBS = ("decode_frames", "train_cnn", "precompute", "train_soft_attention", "evaluate")
SYNTHETIC = {"backbone": "small_cnn", "image_epochs": 10, "input_size": 112}
DEFAULTS = {"backbone": "googlenet", "image_epochs": 30, "weights": "imagenet"}
SETTINGS: dict[str, dict[str, Any]] = {
    "hmdb51": {"hidden_dim": 1024, "attention_layers": 3},  # as released
    "synthetic": {"window_frames": 8, "batch": 32},  # clips of 10 to 15 frames at stride 4
}
"""Settings of a data set for those that flags leave at their defaults."""
RATES = {"adam": 2.0, "sgd": 0.1}
"""Learning rates for HMDB51, as multiples of the defaults."""


def reproduce_soft_attention(options: SoftAttentionTablesOptions) -> int:
    """Run or resume the trainings and write `tables.md`, `tables.csv` and `tables.json`.

    Returns:
        The exit code.

    Raises:
        UsageError: an option or an input is invalid; raised before the first step.
    """
    options = _resolved(options)
    _check(options)
    check_writable(options.out)
    check_unchanged(options, "soft_attention")
    videos = open_videos(options)
    check_videos(videos, options)
    steps, cells = make_steps(videos, options)
    _check_cnns(videos, options, steps)
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


def _resolved(options: SoftAttentionTablesOptions) -> SoftAttentionTablesOptions:
    """Return the options with the defaults of the data set filled in and all paths made absolute."""
    defaults = SYNTHETIC if options.dataset == "synthetic" else DEFAULTS
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    variants = with_earlier(options, VARIANTS)
    settings = _with_data_settings(options) if options.data_settings else options.soft_attention
    return with_absolute_paths(dataclasses.replace(options, **missing, variants=variants, soft_attention=settings))


def _with_data_settings(options: SoftAttentionTablesOptions) -> SoftAttentionConfig:
    given = options.soft_attention
    settings = with_settings(given, SETTINGS.get(options.dataset, {}))
    if options.dataset == "hmdb51" and given.lr is None and given.optimizer in RATES:
        return dataclasses.replace(settings, lr=RATES[given.optimizer] * settings.learning_rate)
    return settings


def _check(options: SoftAttentionTablesOptions) -> None:
    check_options(options)
    if not options.variants:
        raise UsageError("--variants: empty. Name at least one.")
    if options.cnn_epochs < 0:
        raise UsageError(f"--cnn-epochs {options.cnn_epochs}: too small. Give 0 or more.")
    if options.cnn_epochs and options.dataset == "hollywood2":
        raise UsageError(
            "--cnn-epochs: a CNN is fine-tuned on videos of one class each, and clips of hollywood2 may show several. "
            "Leave out --cnn-epochs."
        )
    for name, owner in (*((one, "--variants") for one in OF_VARIANTS), ("seed", "--seeds")):
        value = getattr(options.soft_attention, name)
        if value != getattr(SoftAttentionConfig(), name):
            flag = f"--soft-attention.{name.replace('_', '-')}"
            raise UsageError(f"{flag} {value}: set by {owner}. Leave it out.")
    try:
        for variant in options.variants:
            settings_of(variant, options, options.seeds[0])
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--soft-attention.")) from error


def _check_cnns(videos: LabelledVideos, options: SoftAttentionTablesOptions, steps: list[Step]) -> None:
    """Check the weights of the CNN and the Web images."""
    if videos.images is None:
        how = {"mean": options.mean, "std": options.std, "input_size": options.input_size}
        load_weights(str(options.weights), options.backbone, **how, new_classifier=True)
        return
    web = next(step.options for step in steps if isinstance(step.options, TrainCnnOptions))
    start_cnn(resolve(web), videos.class_names)
    if options.images is not None or not is_to_be_rendered(options):
        list_images(videos.images, videos.class_names)
