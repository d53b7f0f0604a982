"""Figures of the tables, computed from the scores of all cells: one record per method and per pair of methods."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from attn.commands.reproduction.cell import ADAPTED, NO_IMAGE, WEB, WITHOUT_LABELS, ZERO_SHOT, Cell
from attn.commands.reproduction.cell_scores import (
    FEW_LABELS,
    FEW_LABELS_ZERO_SHOT,
    Runs,
    by_cnn,
    counts,
    differences,
    figure_of,
    groups_of,
    in_common,
    name_of,
    paired,
    pooled_over,
    read_cells,
    record,
    unit_of,
)
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.benchmark import Benchmark
from attn.errors import UsageError
from attn.eval.pooled import Figure, Unit, difference
from attn.eval.significance import bootstrap_interval
from attn.models.weights_file import read_weights_file
from attn.report.published import WEB_ACCURACY, PaperValue, paper_value
from attn.stages.scoring import CALIBRATED
from attn.storage.filesystem import join
from attn.training.cnn_rows import ACCURACY

PAIRS = (
    *(("unatt", "cnn"), ("energynet", "cnn"), ("energynet", "unatt"), ("svm", "cnn"), ("energynet", "svm")),
    *((FEW_LABELS, "cnn"), (FEW_LABELS, "energynet")),
    *((FEW_LABELS_ZERO_SHOT, "cnn"), (FEW_LABELS_ZERO_SHOT, "energynet")),
    *(("cnn_average_calibrated", "cnn"), ("unatt_calibrated", "unatt"), ("energynet_calibrated", "cnn")),
    *((few + CALIBRATED, few) for few in ("energynet", FEW_LABELS, FEW_LABELS_ZERO_SHOT)),
)
# The paper's text claims that the EnergyNet with the first share of the training videos beats the CNN with the second.
CROSSINGS = (("010", "020"), ("050", "100"))


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
    scored, unreadable = read_cells(options.out, cells)
    unit = unit_of(scored)
    figures = cast("tuple[Figure, ...]", tuple(dict.fromkeys((benchmark.figure, "top_1", "top_3"))))
    methods, pairs = [], []
    groups = groups_of(scored, benchmark)
    cnns = by_cnn(scored, groups)
    for (backbone, trained_on), runs in cnns.items():
        place = {"backbone": backbone, "trained_on": trained_on}
        for method, by_split in runs.items():
            found = {figure: figure_of(by_split, figure, unit) for figure in figures}
            name = name_of(method, trained_on)
            paper = _paper(benchmark.name, backbone, name, trained_on, figures)
            methods.append({**place, "method": name, "scores": method, **counts(by_split), **found, "paper": paper})
        for first, second in PAIRS:
            if both := in_common(runs.get(first, {}), runs.get(second, {})):
                names = {"first": name_of(first, trained_on), "second": name_of(second, trained_on)}
                pairs.append({**place, **names, **paired(both, benchmark.figure, unit)})
    pairs += _of_adaptation(cnns, benchmark.figure, unit)
    pairs += _of_labels(cnns, methods, benchmark.figure, unit)
    return {
        "dataset": benchmark.name,
        "figure": benchmark.figure,
        "unit": "group" if unit == "video" and any(one is not None for one in groups.values()) else unit,
        "seeds": list(options.seeds),
        "web_images": list(_web_validation(options, benchmark.name, cells)),
        "methods": methods,
        "pairs": pairs,
        "gains": list(_gains(cnns, benchmark.figure, unit)),
        "crossings": list(_crossings(cnns, benchmark.figure, unit)),
        "failed": {**failed, **unreadable},
        "options": dataclasses.asdict(options),
    }


def _of_adaptation(cnns: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit) -> list[Any]:
    """Difference between the adapted and the unadapted CNN, for each method without labels."""
    found = []
    for (backbone, trained_on), runs in cnns.items():
        before = ZERO_SHOT if (backbone, ZERO_SHOT) in cnns else WEB
        plain = cnns.get((backbone, before), {}) if trained_on == ADAPTED else {}
        for method in runs.keys() & plain.keys():
            if both := in_common(runs[method], plain[method]):
                names = {"first": name_of(method, ADAPTED), "second": name_of(method, before)}
                found.append({"backbone": backbone, "trained_on": ADAPTED, **names, **paired(both, figure, unit)})
    return sorted(found, key=lambda pair: pair["first"])


def _of_labels(
    cnns: Mapping[tuple[str, str], Mapping[str, Runs]],
    methods: Sequence[Mapping[str, Any]],
    figure: Figure,
    unit: Unit,
) -> Iterator[dict[str, Any]]:
    """Difference between each method with labels and the best method without labels."""
    for backbone in dict.fromkeys(backbone for backbone, _ in cnns):
        free = [one for one in methods if one["backbone"] == backbone and one["trained_on"] in WITHOUT_LABELS]
        if not free:
            continue
        best = max(free, key=lambda one: one[figure]["value"])
        runs_of = {name_of(name, best["trained_on"]): runs for name, runs in cnns[backbone, best["trained_on"]].items()}
        for (name, trained_on), runs in cnns.items():
            for method in runs if name == backbone and trained_on not in (*WITHOUT_LABELS, NO_IMAGE) else ():
                if both := in_common(runs[method], runs_of[best["method"]]):
                    names = {"first": name_of(method, trained_on), "second": best["method"]}
                    yield {"backbone": backbone, "trained_on": trained_on, **names, **paired(both, figure, unit)}


def _gains(cnns: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit) -> Iterator[dict[str, Any]]:
    """Change of the EnergyNet's gain over its CNN from the smallest to the largest share of the training videos."""
    for backbone in dict.fromkeys(backbone for backbone, _ in cnns):
        own = {
            share: runs
            for (name, share), runs in cnns.items()
            if name == backbone and share not in (*WITHOUT_LABELS, NO_IMAGE) and {"cnn", "energynet"} <= runs.keys()
        }
        if len(own) < 2:
            continue
        few, many = min(own), max(own)
        sides = in_common(*(own[share][method] for share in (many, few) for method in ("energynet", "cnn")))
        if sides:
            gains = differences(sides[:2], figure), differences(sides[2:], figure)
            change = list(itertools.starmap(difference, zip(*gains, strict=True)))
            estimate = pooled_over(change, sides[0], unit)
            yield {"backbone": backbone, "from": few, "to": many, **counts(sides[0]), **record(estimate)}


def _crossings(
    cnns: Mapping[tuple[str, str], Mapping[str, Runs]], figure: Figure, unit: Unit
) -> Iterator[dict[str, Any]]:
    """Difference between the EnergyNet with a share of the training videos and the CNN with a larger share."""
    for backbone, (few, many) in itertools.product(dict.fromkeys(name for name, _ in cnns), CROSSINGS):
        first = cnns.get((backbone, few), {}).get("energynet", {})
        second = cnns.get((backbone, many), {}).get("cnn", {})
        if both := in_common(first, second):
            yield {"backbone": backbone, "few": few, "many": many, **paired(both, figure, unit)}


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
            "paper": paper_value(dataset, backbone, name_of("cnn", WEB), WEB, WEB_ACCURACY),
        }
