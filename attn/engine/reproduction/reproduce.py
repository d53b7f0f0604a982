"""The paper's tables from one command: the data, the plan, its steps on one Ray cluster, the tables.

Run again, it goes on where it stopped; with another seed or fraction it adds what is new.
"""

import dataclasses
import hashlib
import json
import logging
from typing import Any

from attn.datasets.benchmark import Benchmark
from attn.engine.options import TrainCnnOptions
from attn.engine.placement import cluster_totals
from attn.engine.reproduction.data import check_needs, is_to_be_rendered, open_data, render
from attn.engine.reproduction.experiment import make_steps
from attn.engine.reproduction.lists import write_lists
from attn.engine.reproduction.reproduce_options import ReproduceOptions
from attn.engine.reproduction.results import collect
from attn.engine.reproduction.run_steps import Outcome, run_steps
from attn.engine.reproduction.step import Cell, Step
from attn.engine.reproduction.trainings import trainings
from attn.engine.session import start_ray
from attn.errors import UsageError
from attn.models.weights_file import describe_checkpoint
from attn.report.paper_tables import as_csv, as_markdown
from attn.stages.recipe import PAPER, as_begun
from attn.storage.filesystem import absolute, join, open_filesystem, read_text, storage_errors, write_atomic
from attn.storage.writable import check_writable
from attn.video.source import list_videos

log = logging.getLogger(__name__)

TABLES, PLAN = "tables", "plan.json"
# Settings of all steps; the others say which steps there are, where the data lies, or how much of a machine is used.
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
LEAST_SIDE_BY_SIDE = 2  # the start of a training is mostly waiting
ALL_FRACTIONS = (0.05, 0.1, 0.2, 0.33, 0.5, 1.0)
# The synthetic data set is small: a small CNN learns it in minutes.
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
    """Writes `tables.md`, `tables.csv` and `tables.json`; the exit code.

    Raises:
        UsageError: before anything was done.
    """
    options = resolved(options)
    _check(options)
    check_writable(options.out)
    _check_unchanged(options)
    benchmark = open_data(options)
    steps, cells = make_steps(benchmark, options)
    check_needs(options, benchmark, steps)
    videos = _videos(options, benchmark)
    if (plan := _plan_before(options)) and plan.get("videos", videos) != videos:
        raise UsageError(
            f"{options.root}: other videos than those {options.out} was adapted to and calibrated on. Choose another "
            "--out."
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
    write_tables(options, benchmark, cells, outcome.failed, made)
    if outcome.failed:
        log.error("%d of %d steps are not done; the same command tries them again", len(outcome.failed), len(steps))
        return EXIT_FAILED_STEPS
    return 0


def _videos(options: ReproduceOptions, benchmark: Benchmark) -> str | None:
    """Digest of all videos, if they decide what CNNs are adapted to."""
    if options.adapt_to != "all":
        return None
    listing = "\n".join(sorted(f"{video.video_id}\t{video.size}" for video in list_videos(benchmark.videos)))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def run_plan(steps: list[Step], options: ReproduceOptions) -> Outcome:
    """Runs the steps of a plan on the Ray cluster that is there, or on one of this machine."""
    start_ray()
    side_by_side = options.side_by_side or _side_by_side()
    return run_steps(_sharing(steps, side_by_side), options.out, side_by_side=side_by_side)


def resolved(options: ReproduceOptions) -> ReproduceOptions:
    """The options with the defaults of their data set, and paths that mean the same in every process."""
    if options.recipe != PAPER and _begun_without_recipe(options):
        log.info("%s was begun with the settings of --recipe paper, which it keeps", options.out)
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
    """Settings that follow from the CNN of Web images."""
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
    """Tables of all scores that are there, and what is said of the steps that made them."""
    found = collect(options, benchmark, [cell for cell in cells if cell.scores not in failed], failed)
    results = {**found, **made}
    _write(options, f"{TABLES}.json", json.dumps(results, indent=1, ensure_ascii=False))
    _write(options, f"{TABLES}.csv", as_csv(results))
    _write(options, f"{TABLES}.md", as_markdown(results))
    log.info("tables: %s", join(options.out, f"{TABLES}.md"))


def _check(options: ReproduceOptions) -> None:
    try:
        options.energynet.check()
    except UsageError as error:
        raise UsageError(str(error).replace("--", "--energynet.")) from error
    if not options.seeds or min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        raise UsageError(f"--seeds {' '.join(map(str, options.seeds))}: give different numbers, 0 or more")
    for fraction in options.fractions or ():
        if not 0 < fraction <= 1 or abs(100 * fraction - round(100 * fraction)) > 1e-9:
            raise UsageError(f"--fractions {fraction:g}: give whole per cents, 0.01 to 1")
    for flag in ("backbones", "fractions", "splits"):
        values = getattr(options, flag) or ()
        if len(set(values)) < len(values):
            raise UsageError(f"--{flag} {' '.join(map(str, values))}: name each once")
    for flag in COUNTS:
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {value}: give 1 or more")
    if options.folds < 2:
        raise UsageError(f"--folds {options.folds}: give 2 or more")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: give a share from 0 to 1")
    if options.actors is not None and not 1 <= options.actors[0] <= options.actors[1]:
        low, high = options.actors
        raise UsageError(f"--actors {low} {high}: give the smallest and the largest number, 1 or more")
    if options.root is None and options.dataset != "synthetic":
        raise UsageError(f"--dataset {options.dataset} needs --root, the folder of the data set")
    if (options.labels is None) == (options.dataset == "labelled"):
        raise UsageError(
            f"--dataset {options.dataset}: --labels, the table of labels, go with --dataset labelled only."
        )
    if options.web_cnn is not None and options.backbones != (of_web := describe_checkpoint(options.web_cnn).backbone,):
        raise UsageError(f"--backbones {' '.join(options.backbones or ())}: --web-cnn is a {of_web}. Leave out one.")


def _begun_without_recipe(options: ReproduceOptions) -> bool:
    """Whether the folder belongs to a plan that is older than the choice of a recipe."""
    plan = _plan_before(options)
    return plan is not None and "recipe" not in plan["options"]


def _plan_before(options: ReproduceOptions) -> dict[str, Any] | None:
    fs, path = open_filesystem(join(options.out, PLAN))
    with storage_errors(options.out):
        return json.loads(read_text(fs, path)) if fs.exists(path) else None


def _check_unchanged(options: ReproduceOptions) -> None:
    """Refuses other settings in the same folder: each finished step would refuse them one after the other."""
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
                f"{flag.replace('_', '-')} {_said(new)}: {options.out} was made with {_said(old)}; choose another --out"
            )


def _said(value: Any) -> str:
    if value is None:
        return "(left out)"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _side_by_side() -> int:
    totals = cluster_totals()
    return int(totals["GPU"]) or max(LEAST_SIDE_BY_SIDE, int(totals["CPU"] / CPUS_PER_STEP))


def _sharing(steps: list[Step], side_by_side: int) -> list[Step]:
    """Trainings on CPUs that leave room for those beside them; those that all others wait for are few."""
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
