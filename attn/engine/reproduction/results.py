"""From the scores of all cells to the figures of the tables: one record per method and per pair of methods."""

import dataclasses
import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from attn.datasets.benchmark import Benchmark
from attn.engine.options import ReproduceOptions
from attn.engine.reproduction.experiment import NO_IMAGE, WEB, Cell
from attn.engine.training.cnn_worker import ACCURACY
from attn.errors import UsageError
from attn.eval.pooled import Estimate, Figure, Run, Unit, difference, pooled, statistic
from attn.eval.significance import Statistic, bootstrap_interval
from attn.models.weights_file import read_weights_file
from attn.storage.filesystem import join
from attn.storage.scores import NAME, Scores, read_scores

NAMES = {"cnn": "CNN", "unatt": "UnAtt", "energynet": "EnergyNet", "svm": "SVM"}
PAIRS = (("unatt", "cnn"), ("energynet", "cnn"), ("energynet", "unatt"), ("svm", "cnn"), ("energynet", "svm"))
# Of the paper's text: with the first share of the training videos the EnergyNet is ahead of the CNN with the second.
CROSSINGS = (("010", "020"), ("050", "100"))
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
    scored, unreadable = _read_scores(options, cells)
    unit: Unit = "split" if len({cell.split for cell in scored}) > MOST_LARGE_SPLITS else "video"
    figures = cast("tuple[Figure, ...]", tuple(dict.fromkeys((benchmark.figure, "top_1", "top_3"))))
    methods, pairs = [], []
    by_cnn = _by_cnn(scored)
    for (backbone, trained_on), runs in by_cnn.items():
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
        "gains": list(_gains(by_cnn, benchmark.figure, unit)),
        "crossings": list(_crossings(by_cnn, benchmark.figure, unit)),
        "failed": {**failed, **unreadable},
        "options": dataclasses.asdict(options),
    }


def _read_scores(options: ReproduceOptions, cells: Sequence[Cell]) -> tuple[dict[Cell, Scores], dict[str, str]]:
    """Scores of the cells on the videos that all cells of a split have, and why others could not be read."""
    found, unreadable = dict[Cell, Scores](), dict[str, str]()
    for cell in cells:
        try:
            found[cell] = read_scores(join(options.out, cell.scores, NAME))
        except UsageError as error:
            unreadable[cell.scores] = str(error)
    shared: dict[str, set[str]] = {}
    for cell, scores in found.items():
        shared[cell.split] = shared.get(cell.split, set(scores.video_ids)) & set(scores.video_ids)
    return {cell: _only(scores, shared[cell.split]) for cell, scores in found.items()}, unreadable


def _only(scores: Scores, video_ids: Container[str]) -> Scores:
    kept = [row for row, video_id in enumerate(scores.video_ids) if video_id in video_ids]
    return Scores(
        [scores.video_ids[row] for row in kept],
        scores.labels[kept],
        {method: values[kept] for method, values in scores.by_method.items()},
    )


def _by_cnn(scored: Mapping[Cell, Scores]) -> dict[tuple[str, str], dict[str, Runs]]:
    """Scores by CNN (backbone, what it was trained on) and method."""
    found: dict[tuple[str, str], dict[str, Runs]] = {}
    for cell, scores in scored.items():
        for method in NAMES.keys() & scores.by_method.keys():
            runs = found.setdefault((cell.backbone, cell.trained_on), {}).setdefault(method, {})
            runs.setdefault(cell.split, []).append(Run(scores.by_method[method], scores.labels.astype(np.int64)))
    return {key: {name: runs[name] for name in NAMES if name in runs} for key, runs in found.items()}


def _gains(
    by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit
) -> Iterator[dict[str, Any]]:
    """How the EnergyNet's gain over its CNN changes from the smallest to the largest share of the training videos."""
    for backbone in dict.fromkeys(backbone for backbone, _ in by_cnn):
        own = {
            share: runs
            for (name, share), runs in by_cnn.items()
            if name == backbone and share not in (WEB, NO_IMAGE) and {"cnn", "energynet"} <= runs.keys()
        }
        if len(own) < 2:
            continue
        few, many = own[min(own)], own[max(own)]
        if few["cnn"].keys() == many["cnn"].keys():
            gains = (_differences(runs["energynet"], runs["cnn"], figure) for runs in (many, few))
            change = list(itertools.starmap(difference, zip(*gains, strict=True)))
            estimate = pooled(change, _sizes(few["cnn"]), unit=unit)
            yield {"backbone": backbone, "from": min(own), "to": max(own), **_record(estimate)}


def _crossings(
    by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit
) -> Iterator[dict[str, Any]]:
    """How far the EnergyNet with a share of the training videos is ahead of the CNN with a larger one."""
    for backbone, (few, many) in itertools.product(dict.fromkeys(name for name, _ in by_cnn), CROSSINGS):
        first = by_cnn.get((backbone, few), {}).get("energynet", {})
        second = by_cnn.get((backbone, many), {}).get("cnn", {})
        if first and first.keys() == second.keys():
            estimate = _paired(first, second, figure, unit)
            yield {"backbone": backbone, "few": few, "many": many, **_record(estimate)}


def _estimate(by_split: Runs, figure: Figure, unit: Unit) -> Estimate:
    return pooled(_statistics(by_split, figure), _sizes(by_split), unit=unit)


def _paired(first: Runs, second: Runs, figure: Figure, unit: Unit) -> Estimate:
    return pooled(_differences(first, second, figure), _sizes(first), unit=unit)


def _differences(first: Runs, second: Runs, figure: Figure) -> list[Statistic]:
    both = zip(_statistics(first, figure), _statistics(second, figure), strict=True)
    return list(itertools.starmap(difference, both))


def _statistics(by_split: Runs, figure: Figure) -> list[Statistic]:
    """One per split, by name: where cells are missing, splits turn up in another order."""
    return [statistic(by_split[split], figure) for split in sorted(by_split)]


def _sizes(by_split: Runs) -> list[int]:
    return [len(by_split[split][0].labels) for split in sorted(by_split)]


def _record(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": list(estimate.interval), "videos": estimate.videos}


def _name(method: str, trained_on: str) -> str:
    prefix = {WEB: "", NO_IMAGE: "NoImage+"}.get(trained_on, "finetune+")
    return prefix + NAMES[method]


def _web_validation(options: ReproduceOptions, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Accuracy of every CNN on held-out Web images."""
    for backbone, seed in dict.fromkeys((cell.backbone, cell.seed) for cell in cells if cell.trained_on == WEB):
        try:
            file = read_weights_file(join(options.out, f"{backbone}/seed{seed}/{WEB}/cnn.safetensors"))
        except UsageError:
            continue
        trained = file.described.trained if file.described else {}
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
