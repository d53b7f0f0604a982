"""Driver of jobs/reproduce.py: opens the data, makes the plan, runs its steps on one Ray cluster, writes the tables.

Running the same command again resumes an interrupted run; another seed or fraction adds only the missing steps.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attn.commands.reproduction.beside import compare, open_beside
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.checks import check_options
from attn.commands.reproduction.data import check_needs, is_to_be_rendered, open_data, render
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.plan_file import check_unchanged, read_plan, write_plan, write_text
from attn.commands.reproduction.reproduce_options import ReproduceOptions, TablesOptions
from attn.commands.reproduction.results import collect
from attn.commands.reproduction.run_plan import run_plan
from attn.commands.reproduction.trainings import made
from attn.datasets.benchmark import Benchmark
from attn.engine.run_steps import Outcome
from attn.engine.step import Step
from attn.errors import UsageError
from attn.models.weights_file import describe_checkpoint
from attn.report.page_blocks import Table
from attn.report.paper_tables import as_markdown, tables
from attn.report.tables_csv import as_csv
from attn.stages.clip_config import ClipConfig
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.writable import check_writable
from attn.training.recipe import PAPER, as_begun
from attn.video.source import list_videos

log = logging.getLogger(__name__)

Tables = TypeVar("Tables", bound=TablesOptions)
Config = TypeVar("Config", ClipConfig, SoftAttentionConfig, TsrnetConfig)

TABLES = "tables"
JOBS = ("decode_frames", "train_cnn", "adapt_cnn", "precompute", "train_energynet", "evaluate")
EXIT_FAILED_STEPS = 1
ALL_FRACTIONS = (0.05, 0.1, 0.2, 0.33, 0.5, 1.0)
# The synthetic data set is so small that a small CNN trains on it in minutes.
DEFAULTS: dict[str, dict[str, Any]] = {
    "synthetic": {
        "backbones": ("small_cnn",),
        "fractions": ALL_FRACTIONS,
        "image_epochs": 10,
        "frame_epochs": 5,
        "input_size": 112,
    },
    "ucf101": {"backbones": ("resnet101",), "fractions": ALL_FRACTIONS, "weights": "imagenet"},
    "tvhi": {"backbones": ("resnet101", "vgg16"), "fractions": (1.0,), "weights": "imagenet"},
    "ut_interaction": {"backbones": ("resnet101",), "fractions": (1.0,), "weights": "imagenet"},
    "labelled": {"backbones": ("resnet101",), "fractions": (1.0,), "weights": "imagenet"},
}


def reproduce(options: ReproduceOptions) -> int:
    """Run or resume a reproduction and write `tables.md`, `tables.csv` and `tables.json`.

    Returns:
        The exit code.

    Raises:
        UsageError: an option or an input is invalid; raised before the first step.
    """
    options = resolved(options)
    _check(options)
    check_writable(options.out)
    check_unchanged(options, "energynet")
    benchmark = open_data(options)
    steps, cells = make_steps(benchmark, options)
    check_needs(options, benchmark, steps)
    other = open_beside(options, benchmark)
    videos = _videos(options, benchmark)
    if (plan := read_plan(options.out)) and plan.get("videos", videos) != videos:
        raise UsageError(
            f"{options.root}: the videos differ from those that {options.out} was adapted to and calibrated on. Choose "
            "another --out."
        )
    if options.dry_run:
        return list_steps(steps, cells)
    if is_to_be_rendered(options):
        render(options)
    write_lists(benchmark, options)
    write_plan(options, steps, videos=videos)
    outcome = run_plan(steps, options)
    more = made(outcome, steps, JOBS)
    done = [cell for cell in cells if cell.scores not in outcome.failed]
    if other is not None:
        more["other"], more["beside"] = options.beside, list(compare((options, done), other, benchmark))
    write_tables(options, benchmark, done, outcome.failed, more)
    return exit_code(outcome, steps)


def list_steps(steps: Sequence[Step], cells: Sequence[Cell]) -> int:
    """Log the steps of a plan for `--dry-run`; return the exit code."""
    for step in steps:
        log.info("%s: %s", step.name, step.job)
    log.info("%d steps, %d sets of scores", len(steps), len(cells))
    return 0


def exit_code(outcome: Outcome, steps: Sequence[Step]) -> int:
    """Exit code of a plan that was run."""
    if not outcome.failed:
        return 0
    failed = len(outcome.failed) - (skipped := len(outcome.skipped))
    log.error(
        "%d of %d steps failed, and %d need them. Remove the cause, see the log, and run the same command again.",
        *(failed, len(steps), skipped),
    )
    return EXIT_FAILED_STEPS


def _videos(options: ReproduceOptions, benchmark: Benchmark) -> str | None:
    """Digest of the IDs and sizes of all videos if CNNs are adapted to all of them, else None."""
    if options.adapt_to != "all":
        return None
    listing = "\n".join(sorted(f"{video.video_id}\t{video.size}" for video in list_videos(benchmark.videos)))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def resolved(options: ReproduceOptions) -> ReproduceOptions:
    """Return the options with the defaults of the data set filled in and all paths made absolute."""
    if options.recipe != PAPER and _begun_without_recipe(options):
        log.info("%s: made before recipes were introduced. Continuing with --recipe paper.", options.out)
        options = dataclasses.replace(options, recipe=PAPER)
    defaults = DEFAULTS[options.dataset] | _of_web_cnn(options)
    missing = {key: value for key, value in defaults.items() if getattr(options, key) is None}
    options = dataclasses.replace(options, **missing)
    paper = options.recipe == PAPER
    options = dataclasses.replace(
        options,
        map_source=options.map_source or ("same_cnn" if paper else "out_of_fold"),
        energynet=as_begun(options.energynet, {} if paper else None),
    )
    return with_absolute_paths(options)


def with_absolute_paths(options: Tables) -> Tables:
    """Return the options with absolute URLs."""
    given = {name: getattr(options, name) for name in options.PATHS}
    return dataclasses.replace(
        options,
        **{name: Location.at(url).absolute for name, url in given.items() if url not in (None, "imagenet", "kinetics")},
    )


def _of_web_cnn(options: ReproduceOptions) -> dict[str, Any]:
    """Options that are read from the CNN of `--web-cnn`."""
    if options.web_cnn is None:
        return {}
    found = describe_checkpoint(options.web_cnn)
    return {"backbones": (found.backbone,), "input_size": found.input_size}


def write_tables(
    options: ReproduceOptions,
    benchmark: Benchmark,
    cells: list[Cell],
    failed: dict[str, str],
    more: dict[str, Any],
) -> None:
    """Write the tables of all scores that were computed.

    Args:
        options: resolved options.
        benchmark: the data set.
        cells: sets of scores that were computed.
        failed: reason by name of the failed step.
        more: further entries of `tables.json`: seconds per job, the summary of the trainings, and the comparison with
            another reproduction.
    """
    results = {**collect(options, benchmark, cells, failed), **more}
    write_results(options.out, results, tables(results))


def run_and_tell(
    steps: Sequence[Step],
    options: TablesOptions,
    jobs: Sequence[str],
    figures: Callable[[Mapping[str, str]], dict[str, Any]],
    shown: Callable[[dict[str, Any]], Sequence[Table]],
) -> int:
    """Run the steps of a plan, write the tables of what succeeded, and return the exit code.

    Args:
        steps: steps in the order of their needs.
        options: resolved options.
        jobs: jobs whose seconds are reported.
        figures: function from the reasons of failed steps, by name, to the figures.
        shown: function from all results to the tables of the Markdown file.
    """
    outcome = run_plan(steps, options)
    results = {**figures(outcome.failed), **made(outcome, steps, jobs)}
    write_results(options.out, results, shown(results))
    return exit_code(outcome, steps)


def with_settings(given: Config, of_data: Mapping[str, Any]) -> Config:
    """Return settings in which those of a data set replace the ones that have their defaults."""
    usual = type(given)()
    own = {name: value for name, value in of_data.items() if getattr(given, name) == getattr(usual, name)}
    return dataclasses.replace(given, **own)


def write_results(out: str, results: dict[str, Any], shown: Sequence[Table]) -> None:
    """Write `tables.json`, `tables.csv` and `tables.md`.

    Args:
        out: URL of the output folder.
        results: all figures.
        shown: tables of the Markdown file.
    """
    write_text(out, f"{TABLES}.json", json.dumps(results, indent=1, ensure_ascii=False))
    write_text(out, f"{TABLES}.csv", as_csv(results))
    write_text(out, f"{TABLES}.md", as_markdown(results, shown))
    log.info("tables: %s", join(out, f"{TABLES}.md"))


def _check(options: ReproduceOptions) -> None:
    try:
        options.energynet.check()
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--energynet.")) from error
    check_options(options)
    for fraction in options.fractions or ():
        if not 0 < fraction <= 1 or abs(100 * fraction - round(100 * fraction)) > 1e-9:
            raise UsageError(f"--fractions {fraction:g}: not valid. Give multiples of 0.01 from 0.01 to 1.")
    if options.folds < 2:
        raise UsageError(f"--folds {options.folds}: too small. Give 2 or more.")
    if options.web_cnn is not None and options.backbones != (of_web := describe_checkpoint(options.web_cnn).backbone,):
        raise UsageError(
            f"--backbones {' '.join(options.backbones or ())}: --web-cnn is of type {of_web}. Leave out --backbones."
        )


def _begun_without_recipe(options: ReproduceOptions) -> bool:
    """Return whether the plan in `--out` is older than recipes."""
    plan = read_plan(options.out)
    return plan is not None and "recipe" not in plan["options"]
