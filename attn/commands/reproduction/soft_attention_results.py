"""Figures of the soft-attention tables: one record per network, and paired differences between networks."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attn.commands.reproduction.cell import LSTM, Cell
from attn.commands.reproduction.cell_scores import (
    Runs,
    counts,
    figure_of,
    groups_by_split,
    in_common,
    paired,
    read_cells,
    unit_of,
)
from attn.commands.reproduction.labelled_videos import LabelledVideos
from attn.commands.reproduction.reproduce_options import VARIANTS, SoftAttentionTablesOptions
from attn.eval.pooled import Figure, Run
from attn.report.published import sharma_value
from attn.storage.scores import Scores

METHODS = (*VARIANTS, "svm", "cnn", "unatt")
"""Methods of the tables, in their order."""
PAIRS = (
    *(("attention", one) for one in METHODS if one != "attention"),
    *(("average", "max"), ("lambda1", "lambda10")),
)


def collect(
    options: SoftAttentionTablesOptions, videos: LabelledVideos, cells: Sequence[Cell], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Compute all figures of the tables, as JSON types; ours are between 0 and 1, the paper's in per cent.

    Args:
        options: resolved options.
        videos: the data set.
        cells: cells whose scores were computed.
        failed: reason by name of the failed step.
    """
    scored, unreadable = read_cells(options.out, cells)
    unit = unit_of(scored)
    groups = groups_by_split(scored, videos.group_of)
    runs, backbone = by_method(scored, groups), str(options.backbone)
    figures: tuple[Figure, ...] = ("map_noninterpolated",) if videos.several else ("top_1", "top_3")
    main = videos.figure
    methods = [
        {
            "backbone": backbone,
            "method": method,
            **counts(by_split),
            **{figure: figure_of(by_split, figure, unit) for figure in dict.fromkeys((main, *figures))},
            "paper": {main: value} if (value := _published(videos, method)) is not None else {},
        }
        for method, by_split in runs.items()
    ]
    pairs = [
        {"backbone": backbone, "first": first, "second": second, **paired(both, main, unit)}
        for first, second in PAIRS
        if (both := in_common(runs.get(first, {}), runs.get(second, {})))
    ]
    grouped = unit == "video" and any(one is not None for one in groups.values())
    return {
        "dataset": videos.name,
        "figure": main,
        "unit": "group" if grouped else unit,
        "seeds": list(options.seeds),
        "web_images": [],
        "methods": methods,
        "pairs": pairs,
        "failed": {**failed, **unreadable},
        "options": dataclasses.asdict(options),
    }


def _published(videos: LabelledVideos, method: str) -> float | None:
    """Value of the paper; for HMDB51, only if the tables are about split 1, as the paper's."""
    if videos.name == "hmdb51" and [split.name for split in videos.splits] != ["split1"]:
        return None
    return sharma_value(videos.name, method)


def by_method(scored: Mapping[Cell, Scores], groups: Mapping[str, np.ndarray | None]) -> dict[str, Runs]:
    """Group the scores by method, split and seed.

    Args:
        scored: scores of cells, which may be of one kind only.
        groups: groups of the test videos of each split, see `groups_by_split`.
    """
    found: dict[str, Runs] = {}
    for cell, scores in scored.items():
        own = (*VARIANTS, "svm") if cell.trained_on == LSTM else ("cnn", "unatt")
        for method in own:
            if method in scores.by_method:
                run = Run(scores.by_method[method], scores.positives, groups[cell.split])
                found.setdefault(method, {}).setdefault(cell.split, {})[cell.seed] = run
    return {method: found[method] for method in METHODS if method in found}
