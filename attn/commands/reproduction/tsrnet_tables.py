"""Driver of jobs/reproduce.py --paper tsrnet: plan, run and tables of TSRNet.

Running the same command again resumes an interrupted run; another seed or variant adds only the missing steps.
"""

import dataclasses

from attn.commands.reproduction.checks import check_options
from attn.commands.reproduction.data import is_to_be_rendered
from attn.commands.reproduction.plan_file import check_unchanged, with_earlier, write_plan
from attn.commands.reproduction.reproduce import list_steps, run_and_tell, with_absolute_paths, with_settings
from attn.commands.reproduction.reproduce_options import TSRNET_VARIANTS, WITH_TRIMMED, TsrnetTablesOptions
from attn.commands.reproduction.tsrnet_data import (
    UntrimmedVideos,
    check_files,
    open_untrimmed,
    render_all,
    waits_for_rendering,
)
from attn.commands.reproduction.tsrnet_flow import check_flow, check_flow_unchanged, with_earlier_flow
from attn.commands.reproduction.tsrnet_results import collect
from attn.commands.reproduction.tsrnet_steps import OF_VARIANTS, make_steps, settings_of
from attn.commands.train_cnn_plan import start_cnn
from attn.commands.video_labels import read_classes
from attn.datasets.image_folder import list_images
from attn.engine.step import Step
from attn.errors import UsageError
from attn.models.checkpoint import load_weights
from attn.report.tsrnet_tables import tables
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.writable import check_writable
from attn.synthetic.actions import ACTIONS
from attn.training.cnn_flags import resolve
from attn.training.cnn_options import TrainCnnOptions

JOBS = ("train_cnn", "precompute_flow", "precompute", "train_tsrnet", "detect")
SYNTHETIC = {"backbone": "small_cnn", "image_epochs": 10, "input_size": 112, "flow_cnn_lr": 0.01}
DEFAULTS = {"backbone": "resnet101", "image_epochs": 30, "weights": "imagenet", "flow_cnn_lr": 0.005}
"""Defaults of the data sets. The learning rate of the CNN of flow is that of TSN's released code (Wang et al. 2016).
With train_cnn's own, 0.0003, the CNN of rendered videos had learnt almost nothing after eight epochs."""
FEW_VIDEOS = {
    "num_samples": 200,
    "attention_dim": 64,
    "hidden_dim": 64,
    "dropout": 0.5,
    "smoothness": 100.0,
    "transfer": 0.1,
    "lr": 0.02,
    "lr_every": 1000,
    "updates": 1500,
    "look_every": 150,
}
"""Settings for a few dozen videos of half a minute, in place of those that flags leave at their defaults."""
FLOW_LR = 5e-4
"""Learning rate of the networks of flow on THUMOS14. Source: Zhang et al. 2019."""


def reproduce_tsrnet(options: TsrnetTablesOptions) -> int:
    """Run or resume the trainings and write `tables.md`, `tables.csv` and `tables.json`.

    Returns:
        The exit code.

    Raises:
        UsageError: an option or an input is invalid; raised before the first step.
    """
    options = _resolved(options)
    _check(options)
    check_writable(options.out)
    check_unchanged(options, "tsrnet")
    check_flow_unchanged(options)
    videos = open_untrimmed(options)
    _check_trimmed(options, videos)
    if not waits_for_rendering(options):
        check_files(videos, options)
    steps, runs = make_steps(videos, options)
    _check_cnn(videos, options, steps)
    check_flow(options)
    if options.dry_run:
        return list_steps(steps, [])
    render_all(options)
    write_plan(options, steps)
    return run_and_tell(
        *(steps, options, JOBS),
        lambda failed: collect(options, videos, [run for run in runs if run.found not in failed], failed),
        tables,
    )


def _resolved(options: TsrnetTablesOptions) -> TsrnetTablesOptions:
    """Return the options with the defaults of the data set filled in and all paths made absolute."""
    options = with_earlier_flow(options)
    defaults = SYNTHETIC if options.dataset == "synthetic" else DEFAULTS
    missing = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    variants = with_earlier(options, TSRNET_VARIANTS)
    if options.trimmed is None and options.dataset != "synthetic" and options.variants == tuple(TSRNET_VARIANTS):
        variants = tuple(one for one in variants if one not in WITH_TRIMMED)
    settings = _with_data_settings(options) if options.data_settings else options.tsrnet
    if options.data_settings and options.dataset == "thumos14" and options.flow_lr is None:
        missing["flow_lr"] = FLOW_LR
    return with_absolute_paths(dataclasses.replace(options, **missing, variants=variants, tsrnet=settings))


def _with_data_settings(options: TsrnetTablesOptions) -> TsrnetConfig:
    return with_settings(options.tsrnet, {} if options.dataset == "thumos14" else FEW_VIDEOS)


def _check(options: TsrnetTablesOptions) -> None:
    check_options(options)
    if not options.variants:
        raise UsageError("--variants: empty. Name at least one.")
    if options.render_untrimmed < 1:
        raise UsageError(f"--render-untrimmed {options.render_untrimmed}: too small. Give 1 or more.")
    for name, owner in (*((one, "--variants") for one in OF_VARIANTS), ("seed", "--seeds")):
        value = getattr(options.tsrnet, name)
        if value != getattr(TsrnetConfig(), name):
            raise UsageError(f"--tsrnet.{name.replace('_', '-')} {value}: set by {owner}. Leave it out.")
    try:
        for variant in options.variants:
            settings_of(variant, options, options.seeds[0])
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--tsrnet.")) from error


def _check_trimmed(options: TsrnetTablesOptions, videos: UntrimmedVideos) -> None:
    wanted = [f"--variants {one}" for one in options.variants if one in WITH_TRIMMED]
    wanted += [] if options.flow is None else [f"--flow {options.flow}"]
    if wanted and (videos.trimmed is None or videos.trimmed_split is None):
        raise UsageError(f"{wanted[0]}: needs trimmed videos. Give --trimmed and --trimmed-split.")


def _check_cnn(videos: UntrimmedVideos, options: TsrnetTablesOptions, steps: list[Step]) -> None:
    """Check the weights of the CNN and the Web images."""
    if videos.images is None:
        how = {"mean": options.mean, "std": options.std, "input_size": options.input_size}
        load_weights(str(options.weights), options.backbone, **how, new_classifier=True)
        return
    rendered = options.dataset == "synthetic"
    names = tuple(ACTIONS) if rendered else read_classes(videos.training_labels, videos.classes, ())
    web = next(step.options for step in steps if isinstance(step.options, TrainCnnOptions))
    start_cnn(resolve(dataclasses.replace(web, classes=None)), names)
    if options.images is not None or not (rendered and is_to_be_rendered(options)):
        list_images(videos.images, names)
