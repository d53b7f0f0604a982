"""Comparison with another reproduction of the same data set, e.g. one with `--recipe paper`."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn.commands.reproduction import cell_scores
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.reproduce_options import PLAN, ReproduceOptions
from attn.datasets.benchmark import Benchmark
from attn.errors import UsageError
from attn.storage.location import Location
from attn.training.energy_config import EnergyConfig

Reproduction = tuple[ReproduceOptions, Sequence[Cell]]


def open_beside(options: ReproduceOptions, benchmark: Benchmark) -> Reproduction | None:
    """Return the reproduction that `--beside` names, None without the flag.

    Raises:
        UsageError: the folder holds no plan, or one of another data set.
    """
    if options.beside is None:
        return None
    plan = Location.at(options.beside) / PLAN
    if not plan.exists():
        raise UsageError(f"--beside {options.beside}: no {PLAN} here. Give the --out of another reproduction.")
    given = json.loads(plan.read_text())["options"]
    if (paper := given.get("paper", options.paper)) != options.paper:
        raise UsageError(f"--beside {options.beside}: tables of {paper}. Give those of {options.paper}.")
    if given["dataset"] != options.dataset:
        raise UsageError(
            f"--beside {options.beside}: a reproduction of {given['dataset']}, not of {options.dataset}. Give one of "
            "the same data set."
        )
    other = dataclasses.replace(_options(given), out=Location.at(options.beside).absolute)
    return other, make_steps(benchmark, other)[1]


def _options(given: Mapping[str, Any]) -> ReproduceOptions:
    """Options as recorded in a plan; settings that are newer than the plan have their defaults."""
    energynet = EnergyConfig(**_known(EnergyConfig, given["energynet"]))
    return ReproduceOptions(**{**_known(ReproduceOptions, given), "energynet": energynet})


def _known(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind) if field.name in given]
    return {name: tuple(given[name]) if isinstance(given[name], list) else given[name] for name in names}


def compare(first: Reproduction, second: Reproduction, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    """Compare all methods that two reproductions have, on the videos, splits and seeds that both have.

    Yields:
        One record per CNN, share of the training videos and method, with the figures of both and their difference.
    """
    sides = [cell_scores.read_cells(one.out, cells)[0] for one, cells in (first, second)]
    shared = cell_scores.shared_videos([*sides[0].items(), *sides[1].items()])
    sides = [cell_scores.restricted(side, shared) for side in sides]
    groups = cell_scores.groups_of(sides[0], benchmark)
    unit = cell_scores.unit_of(sides[0])
    cnns = [cell_scores.by_cnn(side, groups) for side in sides]
    for (backbone, trained_on), runs in cnns[0].items():
        for method, mine in runs.items():
            theirs = cnns[1].get((backbone, trained_on), {}).get(method, {})
            if both := cell_scores.in_common(mine, theirs):
                figures = [cell_scores.figure_of(side, benchmark.figure, unit) for side in both]
                yield {
                    "backbone": backbone,
                    "trained_on": trained_on,
                    "method": cell_scores.name_of(method, trained_on),
                    "this": figures[0],
                    "other": figures[1],
                    **cell_scores.paired(both, benchmark.figure, unit),
                }
