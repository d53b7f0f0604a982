"""Scores of a reproduction's cells, grouped by CNN, method, split and seed, and figures pooled over them."""

import itertools
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.reproduction.cell import ADAPTED, NO_IMAGE, WEB, ZERO_SHOT, Cell
from attn.datasets.benchmark import Benchmark
from attn.errors import UsageError
from attn.eval.pooled import Estimate, Figure, Run, Unit, difference, pooled, statistic
from attn.eval.significance import Statistic
from attn.stages.scoring import CALIBRATED
from attn.storage.filesystem import join
from attn.storage.scores import NAME, Scores, read_scores

FEW_LABELS = "adapted_energynet"
"""EnergyNet on maps of a CNN that was adapted but not fine-tuned; the tables list it with the fine-tuned CNNs."""
FEW_LABELS_ZERO_SHOT = "zeroshot_energynet"
"""EnergyNet on maps of a zero-shot classifier."""
NAMES = {
    "cnn": "CNN",
    "cnn_average_calibrated": "calibrated CNN",
    "unatt": "UnAtt",
    "unatt_calibrated": "calibrated UnAtt",
    "energynet": "EnergyNet",
    "energynet_calibrated": "calibrated EnergyNet",
    FEW_LABELS: "EnergyNet",
    FEW_LABELS + CALIBRATED: "calibrated EnergyNet",
    FEW_LABELS_ZERO_SHOT: "EnergyNet",
    FEW_LABELS_ZERO_SHOT + CALIBRATED: "calibrated EnergyNet",
    "svm": "SVM",
}
_FEW_LABELS = {ADAPTED: FEW_LABELS, ZERO_SHOT: FEW_LABELS_ZERO_SHOT}
CNN_OF = {few + suffix: cnn for cnn, few in _FEW_LABELS.items() for suffix in ("", CALIBRATED)}
"""Training data of the CNN of an EnergyNet on few labels."""
# With more splits than this, each split is small, so the bootstrap resamples whole splits.
MOST_LARGE_SPLITS = 5
FEWEST_GROUPS = 5
"""Minimum number of groups per split for the bootstrap to resample whole groups."""

Runs = dict[str, dict[int, Run]]  # split → seed → scores


def read_cells(out: str, cells: Sequence[Cell]) -> tuple[dict[Cell, Scores], dict[str, str]]:
    """Read the scores of each cell on the videos common to its split, and the errors of unreadable scores.

    Args:
        out: URL of the output folder of the reproduction.
        cells: cells to read.
    """
    found, unreadable = dict[Cell, Scores](), dict[str, str]()
    for cell in cells:
        try:
            found[cell] = read_scores(join(out, cell.scores, NAME))
        except UsageError as error:
            unreadable[cell.scores] = str(error)
    return restricted(found, shared_videos(found.items())), unreadable


def shared_videos(scored: Iterable[tuple[Cell, Scores]]) -> dict[str, set[str]]:
    """Return the videos that all scores of a split have, by split."""
    shared: dict[str, set[str]] = {}
    for cell, scores in scored:
        shared[cell.split] = shared.get(cell.split, set(scores.video_ids)) & set(scores.video_ids)
    return shared


def restricted(scored: Mapping[Cell, Scores], videos: Mapping[str, Container[str]]) -> dict[Cell, Scores]:
    """Restrict the scores of each split to some videos."""
    return {cell: _only(scores, videos[cell.split]) for cell, scores in scored.items()}


def unit_of(scored: Mapping[Cell, Scores]) -> Unit:
    """Return the unit of resampling."""
    return "split" if len({cell.split for cell in scored}) > MOST_LARGE_SPLITS else "video"


def _only(scores: Scores, video_ids: Container[str]) -> Scores:
    """Restrict scores to some videos; they are in the order of their IDs in every score file."""
    kept = [row for row, video_id in enumerate(scores.video_ids) if video_id in video_ids]
    return Scores(
        [scores.video_ids[row] for row in kept],
        scores.positives[kept],
        {method: values[kept] for method, values in scores.by_method.items()},
    )


def groups_of(scored: Mapping[Cell, Scores], benchmark: Benchmark) -> dict[str, np.ndarray | None]:
    """Group index of each test video, by split, if groups may contain several classes; see `groups_by_split`."""
    return groups_by_split(scored, benchmark.group_of if benchmark.across_classes else None)


def groups_by_split(
    scored: Mapping[Cell, Scores], group_of: Callable[[str], Hashable] | None
) -> dict[str, np.ndarray | None]:
    """Group index of each test video, by split; None if the bootstrap resamples videos.

    A bootstrap over very few groups varies too little, so videos are resampled if a split has fewer than
    `FEWEST_GROUPS` groups.
    """
    if group_of is not None:
        names = {cell.split: [str(group_of(one)) for one in found.video_ids] for cell, found in scored.items()}
        groups = {split: np.unique(of_split, return_inverse=True)[1] for split, of_split in names.items()}
        if all(of_split.max(initial=-1) + 1 >= FEWEST_GROUPS for of_split in groups.values()):
            return {**groups}
    return dict.fromkeys((cell.split for cell in scored), None)


def by_cnn(
    scored: Mapping[Cell, Scores], groups: Mapping[str, np.ndarray | None]
) -> dict[tuple[str, str], dict[str, Runs]]:
    """Group the scores by CNN (backbone and training data) and method."""
    found: dict[tuple[str, str], dict[str, Runs]] = {}
    for cell, scores in scored.items():
        for method in NAMES.keys() & scores.by_method.keys():
            cnn, _, share = cell.trained_on.rpartition("-")
            name = _FEW_LABELS[cnn] + method.removeprefix("energynet") if cnn else method
            runs = found.setdefault((cell.backbone, share), {}).setdefault(name, {})
            run = Run(scores.by_method[method], scores.positives, groups[cell.split])
            runs.setdefault(cell.split, {})[cell.seed] = run
    return {key: {name: runs[name] for name in NAMES if name in runs} for key, runs in found.items()}


def in_common(*sides: Runs) -> list[Runs]:
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


def figure_of(by_split: Runs, figure: Figure, unit: Unit) -> dict[str, Any]:
    """Estimate a figure over all splits and seeds."""
    return record(pooled_over(_statistics(by_split, figure), by_split, unit))


def paired(both: Sequence[Runs], figure: Figure, unit: Unit) -> dict[str, Any]:
    """Estimate the difference of two sides, the first minus the second."""
    estimate = pooled_over(differences(both, figure), both[0], unit)
    return {**counts(both[0]), **record(estimate)}


def differences(both: Sequence[Runs], figure: Figure) -> list[Statistic]:
    """Difference of each split, the first side minus the second."""
    first, second = (_statistics(side, figure) for side in both)
    return list(itertools.starmap(difference, zip(first, second, strict=True)))


def _statistics(by_split: Runs, figure: Figure) -> list[Statistic]:
    """Return one statistic per split, sorted by name: if cells are missing, the order of splits differs."""
    return [statistic(list(by_split[split].values()), figure) for split in sorted(by_split)]


def pooled_over(statistics: Sequence[Statistic], by_split: Runs, unit: Unit) -> Estimate:
    """Estimate from one statistic per split; the numbers of videos and the groups are taken from the runs."""
    runs = [next(iter(by_split[split].values())) for split in sorted(by_split)]
    groups = [run.groups for run in runs if run.groups is not None]
    return pooled(statistics, [len(run.positives) for run in runs], unit=unit, groups=groups or None)


def counts(by_split: Runs) -> dict[str, int]:
    """Count splits, seeds and cells; if cells are missing, there are fewer than splits × seeds."""
    return {
        "splits": len(by_split),
        "seeds": len(set().union(*by_split.values())),
        "cells": sum(map(len, by_split.values())),
    }


def record(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON types."""
    return {"value": estimate.value, "interval": list(estimate.interval), "videos": estimate.videos}


def name_of(method: str, trained_on: str) -> str:
    """Return the name of a method in the tables."""
    trained_on = CNN_OF.get(method, trained_on)
    if (method, trained_on) == ("cnn", ZERO_SHOT):
        return "zero-shot"
    prefixes = {WEB: "", ZERO_SHOT: "zero-shot+", ADAPTED: "adapted+", NO_IMAGE: "NoImage+"}
    prefix = prefixes.get(trained_on, "finetune+")
    return prefix + NAMES[method]
