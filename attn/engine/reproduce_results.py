"""From the scores of all cells to the figures of the tables: one record per method and per pair of methods."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from attn.datasets.benchmark import Benchmark
from attn.engine.experiment import NO_IMAGE, WEB, Cell
from attn.engine.options import ReproduceOptions
from attn.engine.train_worker import ACCURACY
from attn.errors import UsageError
from attn.eval.pooled import Estimate, Figure, Run, Unit, difference, pooled, statistic
from attn.eval.significance import Statistic, bootstrap_interval
from attn.models.checkpoint import load_checkpoint
from attn.storage.filesystem import join
from attn.storage.scores import NAME, read_scores

NAMES = {"cnn": "CNN", "unatt": "UnAtt", "energynet": "EnergyNet", "svm": "SVM"}
PAIRS = (("unatt", "cnn"), ("energynet", "cnn"), ("energynet", "unatt"), ("svm", "cnn"), ("energynet", "svm"))
# With more splits than this, each is small, and whole splits are drawn for the intervals.
MOST_LARGE_SPLITS = 5

Runs = dict[str, list[Run]]  # split → one per seed


def collect(
    options: ReproduceOptions, benchmark: Benchmark, cells: Sequence[Cell], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Everything the tables show, in JSON types; numbers from 0 to 1.

    Args:
        options: resolved.
        benchmark: the data set.
        cells: whose scores are there.
        failed: steps that are not done, and why.
    """
    unit: Unit = "split" if len(benchmark.splits) > MOST_LARGE_SPLITS else "video"
    figures = cast("tuple[Figure, ...]", tuple(dict.fromkeys((benchmark.figure, "top_1", "top_3"))))
    methods, pairs = [], []
    for (backbone, trained_on), runs in _by_cnn(options, cells).items():
        place = {"backbone": backbone, "trained_on": trained_on}
        for method, by_split in runs.items():
            found = {figure: _record(_estimate(by_split, figure, unit)) for figure in figures}
            counts = {"splits": len(by_split), "seeds": max(map(len, by_split.values()))}
            methods.append({**place, "method": _name(method, trained_on), **counts, **found})
        for first, second in PAIRS:
            if first in runs and second in runs:
                names = {"first": _name(first, trained_on), "second": _name(second, trained_on)}
                estimate = _paired(runs[first], runs[second], benchmark.figure, unit)
                pairs.append({**place, **names, **_record(estimate)})
    return {
        "dataset": benchmark.name,
        "figure": benchmark.figure,
        "unit": unit,
        "seeds": list(options.seeds),
        "web_images": list(_web_validation(options, cells)),
        "methods": methods,
        "pairs": pairs,
        "failed": dict(failed),
        "options": dataclasses.asdict(options),
    }


def _by_cnn(options: ReproduceOptions, cells: Sequence[Cell]) -> dict[tuple[str, str], dict[str, Runs]]:
    """Scores by CNN (backbone, what it was trained on) and method; cells whose scores are not there are left out."""
    found: dict[tuple[str, str], dict[str, Runs]] = {}
    for cell in cells:
        try:
            scores = read_scores(join(options.out, cell.scores, NAME))
        except UsageError:
            continue
        for method in NAMES.keys() & scores.by_method.keys():
            runs = found.setdefault((cell.backbone, cell.trained_on), {}).setdefault(method, {})
            runs.setdefault(cell.split, []).append(Run(scores.by_method[method], scores.labels.astype(np.int64)))
    return {key: {name: runs[name] for name in NAMES if name in runs} for key, runs in found.items()}


def _estimate(by_split: Runs, figure: Figure, unit: Unit) -> Estimate:
    return pooled(_statistics(by_split, figure), _sizes(by_split), unit=unit)


def _paired(first: Runs, second: Runs, figure: Figure, unit: Unit) -> Estimate:
    both = zip(_statistics(first, figure), _statistics(second, figure), strict=True)
    return pooled(list(itertools.starmap(difference, both)), _sizes(first), unit=unit)


def _statistics(by_split: Runs, figure: Figure) -> list[Statistic]:
    return [statistic(runs, figure) for runs in by_split.values()]


def _sizes(by_split: Runs) -> list[int]:
    return [len(runs[0].labels) for runs in by_split.values()]


def _record(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": list(estimate.interval), "videos": estimate.videos}


def _name(method: str, trained_on: str) -> str:
    prefix = {WEB: "", NO_IMAGE: "NoImage+"}.get(trained_on, "finetune+")
    return prefix + NAMES[method]


def _web_validation(options: ReproduceOptions, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Accuracy of every CNN on held-out Web images."""
    for backbone, seed in dict.fromkeys((cell.backbone, cell.seed) for cell in cells if cell.trained_on == WEB):
        trained = load_checkpoint(join(options.out, f"{backbone}/seed{seed}/{WEB}/cnn.safetensors")).trained
        images = int(trained["images"]["validated"])
        right = np.arange(images) < round(trained[ACCURACY] * images)
        interval = bootstrap_interval(lambda rows, right=right: float(right[rows].mean()), images)
        yield {
            "backbone": backbone,
            "seed": seed,
            "value": trained[ACCURACY],
            "interval": list(interval),
            "images": images,
        }
