"""Driver of jobs/reproduce.py: opens the data, makes the plan, runs its steps on one Ray cluster, writes the tables.

Running the same command again resumes an interrupted run; another seed or fraction adds only the missing steps.
"""

import dataclasses
import hashlib
import json
import logging
from typing import Any

from attn.commands.report_options import page_command
from attn.commands.reproduction.beside import compare, open_beside
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.data import check_needs, is_to_be_rendered, open_data, render
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.jobs import job
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.reproduce_options import PLAN, ReproduceOptions
from attn.commands.reproduction.results import collect
from attn.commands.reproduction.trainings import trainings
from attn.datasets.benchmark import Benchmark
from attn.engine.placement import cluster_totals
from attn.engine.run_steps import Outcome, run_steps
from attn.engine.session import start_ray
from attn.engine.step import Step
from attn.errors import UsageError
from attn.models.weights_file import describe_checkpoint
from attn.report.paper_tables import as_csv, as_markdown
from attn.storage.filesystem import absolute, join, open_filesystem, read_text, storage_errors, write_atomic
from attn.storage.writable import check_writable
from attn.training.cnn_options import TrainCnnOptions
from attn.training.recipe import PAPER, as_begun
from attn.video.source import list_videos

log = logging.getLogger(__name__)

TABLES = "tables"
# Options that must not change within a folder. The others select steps, locate the data, or limit resources.
SETTLED = (
    *("dataset", "image_epochs", "frame_epochs", "input_size", "stride", "mean", "std"),
    *("aggregation", "near_duplicates", "recipe", "adapt", "adapt_to", "parts", "web_cnn"),
)
COUNTS = (
    *("image_epochs", "frame_epochs", "input_size", "stride"),
    *("side_by_side", "render_images", "render_videos"),
)
PATHS = ("out", "root", "images", "weights", "word_vectors", "labels", "web_cnn")
JOBS = ("decode_frames", "train_cnn", "adapt_cnn", "precompute", "train_energynet", "evaluate")
EXIT_FAILED_STEPS = 1
CPUS_PER_STEP = 4
LEAST_SIDE_BY_SIDE = 2  # a training mostly waits while it starts
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
    _check_unchanged(options)
    benchmark = open_data(options)
    steps, cells = make_steps(benchmark, options)
    check_needs(options, benchmark, steps)
    other = open_beside(options, benchmark)
    videos = _videos(options, benchmark)
    if (plan := _plan_before(options)) and plan.get("videos", videos) != videos:
        raise UsageError(
            f"{options.root}: the videos differ from those that {options.out} was adapted to and calibrated on. Choose "
            "another --out."
        )
    if options.dry_run:
        for step in steps:
            log.info("%s: %s", step.name, step.job)
        log.info("%d steps, %d sets of scores", len(steps), len(cells))
        return 0
    if is_to_be_rendered(options):
        render(options)
    write_lists(benchmark, options)
    _write(options, PLAN, json.dumps({**_plan(options, steps), "videos": videos}, indent=1, ensure_ascii=False))
    outcome = run_plan(steps, options)
    seconds = {job: sum(outcome.seconds.get(step.name, 0) for step in steps if step.job == job) for job in JOBS}
    made = {"seconds": seconds, "trainings": trainings([step for step in steps if step.name not in outcome.failed])}
    done = [cell for cell in cells if cell.scores not in outcome.failed]
    if other is not None:
        made["other"], made["beside"] = options.beside, list(compare((options, done), other, benchmark))
    write_tables(options, benchmark, done, outcome.failed, made)
    if outcome.failed:
        log.error("%d of %d steps failed. Retry them with the same command.", len(outcome.failed), len(steps))
        return EXIT_FAILED_STEPS
    return 0


def _videos(options: ReproduceOptions, benchmark: Benchmark) -> str | None:
    """Digest of the IDs and sizes of all videos if CNNs are adapted to all of them, else None."""
    if options.adapt_to != "all":
        return None
    listing = "\n".join(sorted(f"{video.video_id}\t{video.size}" for video in list_videos(benchmark.videos)))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def run_plan(steps: list[Step], options: ReproduceOptions) -> Outcome:
    """Run the steps of a plan on the current Ray cluster, or on a new local one."""
    start_ray()
    side_by_side = options.side_by_side or _side_by_side()
    return run_steps(_sharing(steps, side_by_side), options.out, job, side_by_side=side_by_side)


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
    given = {name: getattr(options, name) for name in PATHS}
    return dataclasses.replace(
        options, **{name: absolute(url) for name, url in given.items() if url not in (None, "imagenet")}
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
    made: dict[str, Any],
) -> None:
    """Write the tables of all scores that were computed.

    Args:
        options: resolved options.
        benchmark: the data set.
        cells: sets of scores that were computed.
        failed: reason by name of the failed step.
        made: further entries of `tables.json`: seconds per job, the summary of the trainings, and the comparison with
            another reproduction.
    """
    found = collect(options, benchmark, cells, failed)
    results = {**found, **made}
    _write(options, f"{TABLES}.json", json.dumps(results, indent=1, ensure_ascii=False))
    _write(options, f"{TABLES}.csv", as_csv(results))
    _write(options, f"{TABLES}.md", as_markdown(results))
    log.info("tables: %s", join(options.out, f"{TABLES}.md"))
    log.info("page: %s", page_command(options.out))


def _check(options: ReproduceOptions) -> None:
    try:
        options.energynet.check()
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--energynet.")) from error
    if not options.seeds or min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        raise UsageError(
            f"--seeds {' '.join(map(str, options.seeds))}: not valid. Give different integers of 0 or more."
        )
    for fraction in options.fractions or ():
        if not 0 < fraction <= 1 or abs(100 * fraction - round(100 * fraction)) > 1e-9:
            raise UsageError(f"--fractions {fraction:g}: not valid. Give multiples of 0.01 from 0.01 to 1.")
    for flag in ("backbones", "fractions", "splits"):
        values = getattr(options, flag) or ()
        if len(set(values)) < len(values):
            raise UsageError(f"--{flag} {' '.join(map(str, values))}: duplicate values. List each value once.")
    for flag in COUNTS:
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {value}: too small. Give 1 or more.")
    if options.folds < 2:
        raise UsageError(f"--folds {options.folds}: too small. Give 2 or more.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(
            f"--max-failed-fraction {options.max_failed_fraction:g}: out of range. Give a number from 0 to 1."
        )
    if options.actors is not None and not 1 <= options.actors[0] <= options.actors[1]:
        low, high = options.actors
        raise UsageError(
            f"--actors {low} {high}: not a valid range. Give the minimum and the maximum number of actors, 1 or more."
        )
    if options.root is None and options.dataset != "synthetic":
        raise UsageError(f"--dataset {options.dataset}: --root is missing. Give the folder of the data set as --root.")
    if (options.labels is None) == (options.dataset == "labelled"):
        raise UsageError(
            f"--dataset {options.dataset}: --labels and --dataset labelled need each other. Give both or neither."
        )
    if options.web_cnn is not None and options.backbones != (of_web := describe_checkpoint(options.web_cnn).backbone,):
        raise UsageError(
            f"--backbones {' '.join(options.backbones or ())}: --web-cnn is of type {of_web}. Leave out --backbones."
        )


def _begun_without_recipe(options: ReproduceOptions) -> bool:
    """Return whether the plan in `--out` is older than recipes."""
    plan = _plan_before(options)
    return plan is not None and "recipe" not in plan["options"]


def _plan_before(options: ReproduceOptions) -> dict[str, Any] | None:
    fs, path = open_filesystem(join(options.out, PLAN))
    with storage_errors(options.out):
        return json.loads(read_text(fs, path)) if fs.exists(path) else None


def _check_unchanged(options: ReproduceOptions) -> None:
    """Reject settings that differ from those of the plan in `--out`, before each finished step would reject them."""
    plan = _plan_before(options)
    if plan is None:
        return
    before, now = plan["options"], json.loads(json.dumps(dataclasses.asdict(options)))
    pairs = [(f"--{name}", before.get(name, now.get(name)), now.get(name)) for name in SETTLED]
    pairs += [
        (f"--energynet.{name}", before["energynet"].get(name, value), value)
        for name, value in now["energynet"].items()
        if name != "seed"
    ]
    for flag, old, new in pairs:
        if old != new:
            raise UsageError(
                f"{flag.replace('_', '-')} {_shown(new)}: {options.out} was made with {_shown(old)}. Choose another "
                "--out."
            )


def _shown(value: Any) -> str:
    if value is None:
        return "(left out)"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _side_by_side() -> int:
    totals = cluster_totals()
    return int(totals["GPU"]) or max(LEAST_SIDE_BY_SIDE, int(totals["CPU"] / CPUS_PER_STEP))


def _sharing(steps: list[Step], side_by_side: int) -> list[Step]:
    """Divide the cluster's CPUs between trainings that run at the same time; no effect if the cluster has GPUs.

    The first trainings, which all others wait for, are few and get more CPUs each.
    """
    totals = cluster_totals()
    trainings = {step.name for step in steps if isinstance(step.options, TrainCnnOptions)}
    after = set[str]()  # steps that wait for a training
    for step in steps:
        if (trainings | after) & set(step.needs):
            after.add(step.name)
    first = trainings - after

    def shared(step: Step) -> Step:
        beside = min(side_by_side, len(first)) if step.name in first else side_by_side
        cpus = max(1, int(totals["CPU"] / beside))
        return dataclasses.replace(step, options=dataclasses.replace(step.options, cpus_per_worker=cpus))

    return [shared(step) if step.name in trainings and not totals["GPU"] else step for step in steps]


def _plan(options: ReproduceOptions, steps: list[Step]) -> dict[str, Any]:
    return {"options": dataclasses.asdict(options), "steps": [dataclasses.asdict(step) for step in steps]}


def _write(options: ReproduceOptions, name: str, text: str) -> None:
    write_atomic(*open_filesystem(join(options.out, name)), text.encode())
