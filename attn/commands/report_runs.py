"""Runs of a page: output folders of other jobs, recognised by their files."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from attn.commands.evaluate import METRICS
from attn.commands.reproduction.lists import list_of_classes
from attn.commands.reproduction.reproduce_options import PLAN, ReproduceOptions
from attn.commands.reproduction.trainings import NAMES
from attn.commands.search.search_plan import SEARCH
from attn.errors import UsageError
from attn.report.page_blocks import Piece
from attn.storage import manifest
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.run import RUN, SUFFIX, TrainRun
from attn.video.ids import tell_apart

Kind = Literal["reproduction", "evaluation", "search", "training", "store"]
MARKS: tuple[tuple[Kind, str, str], ...] = (
    ("reproduction", PLAN, ""),
    ("reproduction", PLAN, "compare"),  # of `choose`
    ("evaluation", METRICS, ""),
    ("search", SEARCH, ""),
    ("training", RUN, ""),
    *(("training", RUN, f"{name.removesuffix(SUFFIX)}.train") for name in NAMES.values() if name),
    ("store", manifest.NAME, ""),
)
"""Kinds of runs with the file that marks them, and the folder in the output that holds it."""


class Run(NamedTuple):
    """Output of a job: its kind, its URL and a short name for the page."""

    kind: Kind
    url: str
    name: str


class Found(NamedTuple):
    """Content of a run: a phrase about it, and pieces of the page."""

    about: str
    pieces: list[Piece]


def find_runs(urls: Sequence[str]) -> list[Run]:
    """Recognise the runs at URLs.

    Raises:
        UsageError: a folder does not exist, holds no run or is given twice, or the runs are about different classes.
    """
    if not urls:
        raise UsageError("--runs: empty. Give at least one output folder.")
    places = [Location.at(url).absolute.rstrip("/") for url in urls]
    if twice := {place for place in places if places.count(place) > 1}:
        raise UsageError(f"--runs {shown(min(twice))}: given twice. Give each folder once.")
    tails = [place.split("/") for place in places]
    names = tell_apart(tails, lambda tail, level: "/".join(tail[-1 - level :]), max(map(len, tails)))
    runs = [Run(*_recognised(place), name) for place, name in zip(places, names, strict=True)]
    _check_classes(runs)
    return runs


def read_json(url: str) -> dict[str, Any]:
    """Read a JSON file of a run.

    Raises:
        UsageError: the file is missing or damaged.
    """
    try:
        return dict(json.loads(Location.at(url).read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{shown(url)}: damaged ({error}). Run the job that wrote it again.") from error


def exists(url: str) -> bool:
    """Return whether a file or folder exists."""
    return Location.at(url).exists()


def class_names(run: Run) -> list[str]:
    """Class names of a run; empty if it names none."""
    if run.kind == "reproduction":
        listed = list_of_classes(ReproduceOptions(dataset="labelled", out=run.url))
        return Location.at(listed).read_text().splitlines() if exists(listed) else []
    if run.kind == "evaluation":
        return next((list(one["per_class"]) for one in read_json(join(run.url, METRICS))["methods"].values()), [])
    if run.kind == "store":
        return read_json(join(run.url, manifest.NAME)).get("class_names", [])
    file = join(run.url, SEARCH if run.kind == "search" else RUN)
    return read_json(file).get("decisive", {}).get("class_names", [])


def _recognised(url: str) -> tuple[Kind, str]:
    if url.endswith(SUFFIX):  # `--out` of a training is a file beside the folder of its run
        url = TrainRun(url, {}).url
    for kind, mark, folder in MARKS:
        place = join(url, folder).rstrip("/")
        if exists(join(place, mark)):
            return kind, place
    wrong = "no run in this folder" if exists(url) else "does not exist"
    raise UsageError(
        f"--runs {shown(url)}: {wrong}. Give the --out of evaluate, reproduce, demo, search, precompute or a training."
    )


def _check_classes(runs: Iterable[Run]) -> None:
    known = [(run, names) for run in runs if (names := class_names(run))]
    for run, names in known[1:]:
        first, others = known[0]
        if names != others:
            raise UsageError(
                f"--runs {shown(first.url)} {shown(run.url)}: their classes differ ({_difference(others, names)}). "
                "Make one page of each."
            )


def _difference(here: Sequence[str], there: Sequence[str]) -> str:
    if len(here) != len(there):
        return f"{len(here)} and {len(there)}"
    first = next(pair for pair in zip(here, there, strict=True) if pair[0] != pair[1])
    return f"{first[0]} and {first[1]}"
