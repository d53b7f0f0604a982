"""Figures of the tables, computed from the scores of all cells: one record per method and per pair of methods."""

import dataclasses
import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from attn.commands.reproduction.cell import ADAPTED, NO_IMAGE, WEB, Cell
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.benchmark import Benchmark
from attn.errors import UsageError
from attn.eval.pooled import Estimate, Figure, Run, Unit, difference, pooled, statistic
from attn.eval.significance import Statistic, bootstrap_interval
from attn.models.weights_file import read_weights_file
from attn.report.published import WEB_ACCURACY, PaperValue, paper_value
from attn.storage.filesystem import join
from attn.storage.scores import NAME, Scores, read_scores
from attn.training.cnn_rows import ACCURACY

FEW_LABELS = "adapted_energynet"
"""EnergyNet on maps of a CNN that was adapted but not fine-tuned; the tables list it with the fine-tuned CNNs."""
NAMES = {
    "cnn": "CNN",
    "cnn_average_calibrated": "calibrated CNN",
    "unatt": "UnAtt",
    "unatt_calibrated": "calibrated UnAtt",
    "energynet": "EnergyNet",
    FEW_LABELS: "EnergyNet",
    "svm": "SVM",
}
PAIRS = (
    *(("unatt", "cnn"), ("energynet", "cnn"), ("energynet", "unatt"), ("svm", "cnn"), ("energynet", "svm")),
    *((FEW_LABELS, "cnn"), (FEW_LABELS, "energynet")),
    *(("cnn_average_calibrated", "cnn"), ("unatt_calibrated", "unatt")),
)
# The paper's text claims that the EnergyNet with the first share of the training videos beats the CNN with the second.
CROSSINGS = (("010", "020"), ("050", "100"))
# With more splits than this, each split is small, so the bootstrap resamples whole splits.
MOST_LARGE_SPLITS = 5
FEWEST_GROUPS = 5
"""Minimum number of groups per split for the bootstrap to resample whole groups."""

Runs = dict[str, dict[int, Run]]  # split → seed → scores


def collect(
    options: ReproduceOptions, benchmark: Benchmark, cells: Sequence[Cell], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Compute all figures of the tables, as JSON types.

    Our figures are between 0 and 1; those of the paper are in per cent under `paper`.

    Args:
        options: resolved options.
        benchmark: the data set.
        cells: cells whose scores were computed.
        failed: reason by name of the failed step.
    """
    scored, unreadable = _read_scores(options, cells)
    unit: Unit = "split" if len({cell.split for cell in scored}) > MOST_LARGE_SPLITS else "video"
    figures = cast("tuple[Figure, ...]", tuple(dict.fromkeys((benchmark.figure, "top_1", "top_3"))))
    methods, pairs = [], []
    groups = _groups(scored, benchmark)
    by_cnn = _by_cnn(scored, groups)
    for (backbone, trained_on), runs in by_cnn.items():
        place = {"backbone": backbone, "trained_on": trained_on}
        for method, by_split in runs.items():
            found = {figure: _record(_estimate(by_split, figure, unit)) for figure in figures}
            name = _name(method, trained_on)
            paper = _paper(benchmark.name, backbone, name, trained_on, figures)
            methods.append({**place, "method": name, "scores": method, **_counts(by_split), **found, "paper": paper})
        for first, second in PAIRS:
            if both := _in_common(runs.get(first, {}), runs.get(second, {})):
                names = {"first": _name(first, trained_on), "second": _name(second, trained_on)}
                pairs.append({**place, **names, **_paired(both, benchmark.figure, unit)})
    pairs += _of_adaptation(by_cnn, benchmark.figure, unit)
    pairs += _of_labels(by_cnn, methods, benchmark.figure, unit)
    return {
        "dataset": benchmark.name,
        "figure": benchmark.figure,
        "unit": "group" if unit == "video" and any(one is not None for one in groups.values()) else unit,
        "seeds": list(options.seeds),
        "web_images": list(_web_validation(options, benchmark.name, cells)),
        "methods": methods,
        "pairs": pairs,
        "gains": list(_gains(by_cnn, benchmark.figure, unit)),
        "crossings": list(_crossings(by_cnn, benchmark.figure, unit)),
        "failed": {**failed, **unreadable},
        "options": dataclasses.asdict(options),
    }


def _read_scores(options: ReproduceOptions, cells: Sequence[Cell]) -> tuple[dict[Cell, Scores], dict[str, str]]:
    """Read the scores of each cell on the videos common to its split, and the errors of unreadable scores."""
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


def _groups(scored: Mapping[Cell, Scores], benchmark: Benchmark) -> dict[str, np.ndarray | None]:
    """Group index of each test video, by split; None if the bootstrap resamples videos.

    A bootstrap over very few groups varies too little, so videos are resampled if a split has fewer than
    `FEWEST_GROUPS` groups.
    """
    if benchmark.across_classes and benchmark.group_of is not None:
        names = {
            cell.split: [str(benchmark.group_of(one)) for one in found.video_ids] for cell, found in scored.items()
        }
        groups = {split: np.unique(of_split, return_inverse=True)[1] for split, of_split in names.items()}
        if all(of_split.max(initial=-1) + 1 >= FEWEST_GROUPS for of_split in groups.values()):
            return {**groups}
    return dict.fromkeys((cell.split for cell in scored), None)


def _by_cnn(
    scored: Mapping[Cell, Scores], groups: Mapping[str, np.ndarray | None]
) -> dict[tuple[str, str], dict[str, Runs]]:
    """Group the scores by CNN (backbone and training data) and method."""
    found: dict[tuple[str, str], dict[str, Runs]] = {}
    for cell, scores in scored.items():
        for method in NAMES.keys() & scores.by_method.keys():
            share = cell.trained_on.removeprefix(f"{ADAPTED}-")
            name = method if share == cell.trained_on else FEW_LABELS
            runs = found.setdefault((cell.backbone, share), {}).setdefault(name, {})
            run = Run(scores.by_method[method], scores.labels.astype(np.int64), groups[cell.split])
            runs.setdefault(cell.split, {})[cell.seed] = run
    return {key: {name: runs[name] for name in NAMES if name in runs} for key, runs in found.items()}


def _of_adaptation(by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit) -> list[Any]:
    """Difference between the adapted and the unadapted CNN, for each method without labels."""
    found = []
    for (backbone, trained_on), runs in by_cnn.items():
        plain = by_cnn.get((backbone, WEB), {}) if trained_on == ADAPTED else {}
        for method in runs.keys() & plain.keys():
            if both := _in_common(runs[method], plain[method]):
                names = {"first": _name(method, ADAPTED), "second": _name(method, WEB)}
                found.append({"backbone": backbone, "trained_on": ADAPTED, **names, **_paired(both, figure, unit)})
    return sorted(found, key=lambda pair: pair["first"])


def _of_labels(
    by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]],
    methods: Sequence[Mapping[str, Any]],
    figure: Figure,
    unit: Unit,
) -> Iterator[dict[str, Any]]:
    """Difference between each method with labels and the best method without labels."""
    for backbone in dict.fromkeys(backbone for backbone, _ in by_cnn):
        free = [one for one in methods if one["backbone"] == backbone and one["trained_on"] in (WEB, ADAPTED)]
        if not free:
            continue
        best = max(free, key=lambda one: one[figure]["value"])
        runs_of = {_name(name, best["trained_on"]): runs for name, runs in by_cnn[backbone, best["trained_on"]].items()}
        for (name, trained_on), runs in by_cnn.items():
            for method in runs if name == backbone and trained_on not in (WEB, ADAPTED, NO_IMAGE) else ():
                if both := _in_common(runs[method], runs_of[best["method"]]):
                    names = {"first": _name(method, trained_on), "second": best["method"]}
                    yield {"backbone": backbone, "trained_on": trained_on, **names, **_paired(both, figure, unit)}


def _gains(
    by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit
) -> Iterator[dict[str, Any]]:
    """Change of the EnergyNet's gain over its CNN from the smallest to the largest share of the training videos."""
    for backbone in dict.fromkeys(backbone for backbone, _ in by_cnn):
        own = {
            share: runs
            for (name, share), runs in by_cnn.items()
            if name == backbone and share not in (WEB, ADAPTED, NO_IMAGE) and {"cnn", "energynet"} <= runs.keys()
        }
        if len(own) < 2:
            continue
        few, many = min(own), max(own)
        sides = _in_common(*(own[share][method] for share in (many, few) for method in ("energynet", "cnn")))
        if sides:
            gains = _differences(sides[:2], figure), _differences(sides[2:], figure)
            change = list(itertools.starmap(difference, zip(*gains, strict=True)))
            estimate = _pooled(change, sides[0], unit)
            yield {"backbone": backbone, "from": few, "to": many, **_counts(sides[0]), **_record(estimate)}


def _crossings(
    by_cnn: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit
) -> Iterator[dict[str, Any]]:
    """Difference between the EnergyNet with a share of the training videos and the CNN with a larger share."""
    for backbone, (few, many) in itertools.product(dict.fromkeys(name for name, _ in by_cnn), CROSSINGS):
        first = by_cnn.get((backbone, few), {}).get("energynet", {})
        second = by_cnn.get((backbone, many), {}).get("cnn", {})
        if both := _in_common(first, second):
            yield {"backbone": backbone, "few": few, "many": many, **_paired(both, figure, unit)}


def _in_common(*sides: Runs) -> list[Runs]:
    """Restrict all sides to their common splits and seeds.

    A difference between different seeds would include the variance between trainings. The result is empty if some split
    has no common seed, because a mean over fewer splits would not be comparable with the tables.
    """
    shared = {split: set.intersection(*(set(side.get(split, ())) for side in sides)) for split in set().union(*sides)}
    if not all(shared.values()) or not shared:
        return []
    return [
        {split: {seed: side[split][seed] for seed in sorted(shared[split])} for split in sorted(shared)}
        for side in sides
    ]


def _estimate(by_split: Runs, figure: Figure, unit: Unit) -> Estimate:
    return _pooled(_statistics(by_split, figure), by_split, unit)


def _paired(both: Sequence[Runs], figure: Figure, unit: Unit) -> dict[str, Any]:
    estimate = _pooled(_differences(both, figure), both[0], unit)
    return {**_counts(both[0]), **_record(estimate)}


def _differences(both: Sequence[Runs], figure: Figure) -> list[Statistic]:
    """Difference of each split, the first side minus the second."""
    first, second = (_statistics(side, figure) for side in both)
    return list(itertools.starmap(difference, zip(first, second, strict=True)))


def _statistics(by_split: Runs, figure: Figure) -> list[Statistic]:
    """Return one statistic per split, sorted by name: if cells are missing, the order of splits differs."""
    return [statistic(list(by_split[split].values()), figure) for split in sorted(by_split)]


def _pooled(statistics: Sequence[Statistic], by_split: Runs, unit: Unit) -> Estimate:
    """Estimate from one statistic per split; the numbers of videos and the groups are taken from the runs."""
    runs = [next(iter(by_split[split].values())) for split in sorted(by_split)]
    groups = [run.groups for run in runs if run.groups is not None]
    return pooled(statistics, [len(run.labels) for run in runs], unit=unit, groups=groups or None)


def _counts(by_split: Runs) -> dict[str, int]:
    """Count splits, seeds and cells; if cells are missing, there are fewer than splits × seeds."""
    return {
        "splits": len(by_split),
        "seeds": len(set().union(*by_split.values())),
        "cells": sum(map(len, by_split.values())),
    }


def _record(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "interval": list(estimate.interval), "videos": estimate.videos}


def _name(method: str, trained_on: str) -> str:
    if method == FEW_LABELS:
        trained_on = ADAPTED
    prefix = {WEB: "", ADAPTED: "adapted+", NO_IMAGE: "NoImage+"}.get(trained_on, "finetune+")
    return prefix + NAMES[method]


def _paper(dataset: str, backbone: str, method: str, trained_on: str, figures: Sequence[str]) -> dict[str, PaperValue]:
    """Values that the paper reports, by figure."""
    values = {figure: paper_value(dataset, backbone, method, trained_on, figure) for figure in figures}
    return {figure: value for figure, value in values.items() if value is not None}


def _web_validation(options: ReproduceOptions, dataset: str, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Accuracy of each CNN on held-out Web images."""
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
            "paper": paper_value(dataset, backbone, _name("cnn", WEB), WEB, WEB_ACCURACY),
        }
