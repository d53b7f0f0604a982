"""Figures of the tables of attention distillation: accuracy and localisation of networks, and paired differences."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.evaluate_boxes import COLUMNS, read_localisation
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.cell_scores import (
    Runs,
    counts,
    figure_of,
    groups_by_split,
    in_common,
    paired,
    read_cells,
    record,
    unit_of,
)
from attn.commands.reproduction.distillation_options import DISTILLATION_VARIANTS, DistillationTablesOptions
from attn.commands.reproduction.labelled_videos import LabelledVideos
from attn.eval.fusion import mean_of_streams
from attn.eval.pooled import Run, Unit, VideoMean, pooled
from attn.report.distillation_tables import LOCALISATION
from attn.report.published import DISTILLATION, DISTILLATION_PRECISION
from attn.storage.filesystem import join
from attn.storage.scores import Scores

FUSED = "fused"
METHODS = (*DISTILLATION_VARIANTS, FUSED)
PAIRS = (
    *(("distilled", "rgb"), ("distilled", "attention"), ("attention", "rgb")),
    *(("shuffled", "attention"), ("distilled", "shuffled"), ("teacher", "distilled"), (FUSED, "teacher")),
)
MOTION = "motion"
"""Map of the student that is distilled, and the only one of the teacher."""
PLACE_PAIRS = (("distilled", "attention"), ("distilled", "shuffled"))
"""Networks whose motion maps are compared."""

Places = dict[str, dict[int, dict[str, dict[str, float]]]]  # split → seed → video → figures


def collect(
    options: DistillationTablesOptions, videos: LabelledVideos, cells: Sequence[Cell], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Compute all figures of the tables, as JSON types; ours are between 0 and 1, the paper's in per cent.

    Args:
        options: resolved options.
        videos: the data set.
        cells: cells whose scores were computed.
        failed: reason by name of the failed step.
    """
    scored, unreadable = read_cells(options.out, cells)
    unit, groups = unit_of(scored), groups_by_split(scored, videos.group_of)
    runs, backbone = by_method(scored, groups), options.clip_cnn.backbone
    methods = [
        {
            "backbone": backbone,
            "method": method,
            **counts(by_split),
            **{figure: figure_of(by_split, figure, unit) for figure in ("top_1", "top_3")},
            "paper": _published(videos, method),
        }
        for method, by_split in runs.items()
    ]
    pairs = [
        {"backbone": backbone, "first": first, "second": second, **paired(both, "top_1", unit)}
        for first, second in PAIRS
        if (both := in_common(runs.get(first, {}), runs.get(second, {})))
    ]
    places = _places(options, scored)
    grouped = unit == "video" and any(one is not None for one in groups.values())
    return {
        "dataset": videos.name,
        "figure": "top_1",
        "unit": "group" if grouped else unit,
        "seeds": list(options.seeds),
        "web_images": [],
        "methods": methods,
        "pairs": pairs,
        "localisation": list(_localisation(backbone, places, unit)),
        "localisation_pairs": list(_localisation_pairs(backbone, places, unit)),
        "paper_localisation": DISTILLATION_PRECISION,
        "failed": {**failed, **unreadable},
        "options": dataclasses.asdict(options),
    }


def _published(videos: LabelledVideos, method: str) -> dict[str, str]:
    """Value of the paper, if the tables are about the student and all classes of its data set."""
    num_classes, value = DISTILLATION.get(videos.name, (0, 0.0))
    known = method == "distilled" and num_classes == len(videos.class_names)
    return {"top_1": f"{value} (unverified)"} if known else {}


def by_method(scored: Mapping[Cell, Scores], groups: Mapping[str, np.ndarray | None]) -> dict[str, Runs]:
    """Group the scores by network, split and seed, with the fused ones of the student and its teacher.

    Args:
        scored: scores of cells.
        groups: groups of the test videos of each split, see `groups_by_split`.
    """
    found: dict[str, Runs] = {}
    for cell, scores in scored.items():
        if (own := scores.by_method.get(cell.trained_on)) is not None:
            run = Run(own, scores.positives, groups[cell.split])
            found.setdefault(cell.trained_on, {}).setdefault(cell.split, {})[cell.seed] = run
    for split, student in found.get("distilled", {}).items():
        teacher = found.get("teacher", {}).get(split, {})
        for seed in student.keys() & teacher.keys():
            fused = student[seed]._replace(scores=mean_of_streams(student[seed].scores, teacher[seed].scores))
            found.setdefault(FUSED, {}).setdefault(split, {})[seed] = fused
    return {method: found[method] for method in METHODS if method in found}


def _places(options: DistillationTablesOptions, cells: Mapping[Cell, Scores]) -> dict[tuple[str, str], Places]:
    """Figures of localisation of each network and map; empty without boxes."""
    found: dict[tuple[str, str], Places] = {}
    for cell in cells if options.boxes is not None else ():
        if cell.trained_on == "rgb":  # it has no map
            continue
        for name, of_videos in read_localisation(join(options.out, cell.scores)).items():
            compared = {video: figures for video, figures in of_videos.items() if figures["num_frames"]}
            if compared:
                by_split = found.setdefault((cell.trained_on, name), {})
                by_split.setdefault(cell.split, {})[cell.seed] = compared
    return found


def _localisation(backbone: str, places: Mapping[tuple[str, str], Places], unit: Unit) -> Iterator[dict[str, Any]]:
    for (method, name), found in places.items():
        estimates = {figure: _estimate([found], figure, unit) for figure in COLUMNS[4:]}
        counted = {
            "splits": len(found),
            "seeds": len(set().union(*found.values())),
            "cells": sum(map(len, found.values())),
        }
        yield {"backbone": backbone, "method": method, "map": name, **counted, **estimates}


def _localisation_pairs(
    backbone: str, places: Mapping[tuple[str, str], Places], unit: Unit
) -> Iterator[dict[str, Any]]:
    for first, second in PLACE_PAIRS:
        sides = [places.get((one, MOTION), {}) for one in (first, second)]
        shared = {
            split: seeds
            for split in sides[0].keys() & sides[1].keys()
            if (seeds := sides[0][split].keys() & sides[1][split].keys())
        }
        if shared:
            both = [
                {split: {seed: side[split][seed] for seed in seeds} for split, seeds in shared.items()}
                for side in sides
            ]
            estimates = {figure: _estimate(both, figure, unit) for figure in LOCALISATION}
            yield {"backbone": backbone, "first": first, "second": second, "map": MOTION, **estimates}


def _estimate(sides: Sequence[Places], figure: str, unit: Unit) -> dict[str, Any]:
    """Estimate the mean over videos of a figure, or of the difference of two sides, the first minus the second."""
    statistics, sizes = [], []
    for split in sorted(sides[0]):
        runs = [of_seed for side in sides for of_seed in side[split].values()]
        names = sorted(set.intersection(*map(set, runs)))
        means = [np.mean([[of[one][figure] for one in names] for of in side[split].values()], axis=0) for side in sides]
        statistics.append(VideoMean(means[0] if len(means) == 1 else means[0] - means[1]))
        sizes.append(len(names))
    return record(pooled(statistics, sizes, unit=unit))
