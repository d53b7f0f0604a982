"""Pieces of a reproduction: its tables, the accuracy by share, and what its stores, trainings and scores hold."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn.commands.report_frames import FrameSearch
from attn.commands.report_options import ReportOptions
from attn.commands.report_runs import Found, Run, class_names, exists, read_json
from attn.commands.report_scores import SHOWN, ScoreSet, pieces_of_scores
from attn.commands.report_stores import pieces_of_stores, read_store
from attn.commands.report_trainings import pieces_of_trainings, read_training
from attn.commands.reproduction import distillation_results
from attn.commands.reproduction.cell import (
    ADAPTED,
    CNN,
    LSTM,
    NO_IMAGE,
    WEB,
    WITHOUT_LABELS,
    ZERO_SHOT,
    Cell,
    cell_of,
    group_of,
)
from attn.commands.reproduction.cell_scores import by_cnn, read_cells
from attn.commands.reproduction.reproduce import TABLES
from attn.commands.reproduction.reproduce_options import PLAN
from attn.commands.reproduction.soft_attention_results import by_method
from attn.commands.reproduction.trainings import NAMES
from attn.report import distillation_tables, soft_attention_tables, tsrnet_tables
from attn.report.page_blocks import Chart, Note, Piece, Table
from attn.report.page_charts import share_chart
from attn.report.paper_tables import FIGURE_NAMES, about_results, tables
from attn.storage import manifest
from attn.storage.filesystem import join
from attn.storage.scores import NAME, Scores, read_class_names
from attn.training.run import RUN, TrainRun

log = logging.getLogger(__name__)

STORES = ("precompute", "precompute_flow", "decode_frames")
PLACES = {
    WEB: "Web images only",
    ZERO_SHOT: "zero-shot",
    ADAPTED: "adapted, no labels",
    NO_IMAGE: "labels of 100 %, no Web images",
    LSTM: "LSTMs",
    CNN: "fine-tuned CNN",
    **distillation_tables.NAMES,
}
DISTILLATION = "attention_distillation"
OTHER_TABLES = {
    "soft_attention": soft_attention_tables.tables,
    "tsrnet": tsrnet_tables.tables,
    DISTILLATION: distillation_tables.tables,
}
"""Tables of the papers other than the first, whose shares of labels have a chart."""
AXIS = {WEB: "none", ZERO_SHOT: "none", ADAPTED: "unlabelled"}


class Reproduction:
    """Output folder of `reproduce`, finished or not; it may have been moved.

    Args:
        run: the run.
        options: flags of the page.
    """

    def __init__(self, run: Run, options: ReportOptions):
        self.run, self.options = run, options
        self.plan = read_json(join(run.url, PLAN))
        self.steps: list[dict[str, Any]] = self.plan["steps"]
        file = join(run.url, f"{TABLES}.json")
        self.results = read_json(file) if exists(file) else None
        cells = [cell_of(step["name"]) for step in self._of("evaluate")]
        self.cells = [cell for cell in cells if exists(join(run.url, cell.scores, NAME))]

    def found(self) -> Found:
        """Return all pieces."""
        made = f"{len(self.cells)} of {len(self._of('evaluate'))} sets of scores"
        if detected := self._of("detect"):
            there = sum(exists(join(self.run.url, step["name"], NAME)) for step in detected)
            made = f"{there} of {len(detected)} networks with detections"
        state = "finished" if self.results is not None else "unfinished"
        about = f"{state} reproduction of {self.plan['options']['dataset']}, {made}"
        return Found(about, [*self._tables(), *self._scores(), *self._trainings(), *self._stores()])

    def _of(self, *jobs: str) -> list[dict[str, Any]]:
        return [step for step in self.steps if step["job"] in jobs]

    def _here(self, url: str) -> str:
        """URL of an output of this reproduction where it is now."""
        made, inside = self.plan["options"]["out"], url
        return join(self.run.url, inside.removeprefix(made).lstrip("/")) if inside.startswith(made) else inside

    def _tables(self) -> Iterator[Piece]:
        if self.results is None:
            yield Piece("methods", Note("The tables appear when the reproduction has finished."))
            return
        yield Piece("methods", Note(about_results(self.results)))
        paper = self.plan["options"].get("paper")
        yield from (Piece("methods", table) for table in OTHER_TABLES.get(paper, tables)(self.results))
        if paper not in OTHER_TABLES:
            yield from share_pieces(self.results)
        if seconds := self.results.get("seconds"):
            rows = [[job, f"{spent:.0f}"] for job, spent in seconds.items()]
            yield Piece("methods", Table(["job", "seconds"], rows, "Time of all steps of a job"))

    def _scores(self) -> Iterator[Piece]:
        if self.plan["options"].get("paper") == DISTILLATION:
            yield from self._scores_of_clips()
            return
        cnns: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            cnns.setdefault((cell.backbone, cell.trained_on.rpartition("-")[2]), []).append(cell)
        several = len({backbone for backbone, _ in cnns}) > 1
        for (backbone, trained_on), cells in cnns.items():  # one at a time: all scores of UCF101 are 2 GB
            label = ", ".join([*[backbone] * several, PLACES.get(trained_on) or f"labels of {int(trained_on)} %"])
            scored = self._read(cells)
            ungrouped = dict.fromkeys((cell.split for cell in scored), None)
            of_lstm = trained_on in (LSTM, CNN)
            for methods in [by_method(scored, ungrouped)] if of_lstm else by_cnn(scored, ungrouped).values():
                video_ids = {cell.split: found.video_ids for cell, found in sorted(scored.items(), key=_split)}
                names = class_names(self.run)
                if trained_on == LSTM and scored:  # its classes may be in another order
                    names = read_class_names(join(self.run.url, next(iter(scored)).scores, NAME))
                named = {soft_attention_tables.NAMES.get(one, one) if of_lstm else one: methods[one] for one in methods}
                yield from pieces_of_scores(ScoreSet(label, names, named if trained_on == LSTM else methods, video_ids))
            own = [one for one in scored.items() if one[0].trained_on == trained_on]
            maps = trained_on != LSTM  # the store of the LSTMs has grids
            if self.options.examples and own and maps and _shows_frames(cnns, backbone, trained_on):
                yield from self._frames(own[0], label)

    def _scores_of_clips(self) -> Iterator[Piece]:
        """Scores of all networks of clips together, as they have the same test videos."""
        scored = self._read(self.cells)
        if not scored:
            return
        runs = distillation_results.by_method(scored, dict.fromkeys((cell.split for cell in scored), None))
        video_ids = {cell.split: found.video_ids for cell, found in sorted(scored.items(), key=_split)}
        names = read_class_names(join(self.run.url, next(iter(scored)).scores, NAME))
        named = {distillation_tables.NAMES[method]: by_split for method, by_split in runs.items()}
        yield from pieces_of_scores(ScoreSet(self.cells[0].backbone, names, named, video_ids))

    def _read(self, cells: Sequence[Cell]) -> dict[Cell, Scores]:
        scored, unreadable = read_cells(self.run.url, cells)
        for name, why in unreadable.items():
            log.warning("%s left out: %s", name, why)
        return scored

    def _frames(self, scored: tuple[Cell, Scores], label: str) -> Iterator[Piece]:
        """Frames of one split and seed; other ones would show much the same."""
        cell, scores = scored
        step = next(step["options"] for step in self.steps if step["name"] == cell.scores)
        labels = dict(zip(scores.video_ids, scores.positives.argmax(axis=1).tolist(), strict=True))
        search = FrameSearch(self._here(step["store"]), None, labels, step["window"], f"{label}, {cell.split}")
        return search.pieces(self.options)

    def _trainings(self) -> Iterator[Piece]:
        files = {
            step["name"]: join(url, NAMES[step["job"]]) if NAMES[step["job"]] else url
            for step in self._of(*NAMES)
            for url in [self._here(step["options"]["out"])]
        }
        folders = {name: TrainRun(file, {}).url for name, file in files.items()}
        begun = [name for name, folder in folders.items() if exists(join(folder, RUN))]
        if begun:
            yield from pieces_of_trainings([read_training(folders[name], name, group_of(name)) for name in begun])

    def _stores(self) -> Iterator[Piece]:
        urls = {step["name"]: self._here(step["options"]["out"]) for step in self._of(*STORES)}
        begun = {name: url for name, url in urls.items() if exists(join(url, manifest.NAME))}
        if begun:
            yield from pieces_of_stores([read_store(url, name) for name, url in begun.items()])


def share_pieces(results: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield a chart per CNN of the tables: each method by the share of the training videos."""
    figure = results["figure"]
    for backbone in dict.fromkeys(record["backbone"] for record in results["methods"]):
        own = [one for one in results["methods"] if one["backbone"] == backbone and one["trained_on"] != NO_IMAGE]
        order = {one: place for place, one in enumerate(WITHOUT_LABELS)}
        trained_on = sorted({one["trained_on"] for one in own}, key=lambda one: (order.get(one, len(order)), one))
        places = {one: AXIS.get(one) or f"{int(one)} %" for one in trained_on}
        if len(places) < 2:
            continue
        names = {one: name for one, name in SHOWN.items() if any(record["scores"] == one for record in own)}
        drawn = share_chart(own, places, names, figure, f"{FIGURE_NAMES[figure]}, %")
        title = f"{backbone}: {FIGURE_NAMES[figure]} by the share of the training videos whose labels were used"
        yield Piece("shares", Chart(f"shares.{backbone}", title, drawn, "Bars are 95 % bootstrap intervals."))


def _split(scored: tuple[Cell, Scores]) -> str:
    return scored[0].split


def _shows_frames(cnns: Mapping[tuple[str, str], Any], backbone: str, trained_on: str) -> bool:
    """Whether this CNN has seen the fewest or the most labels; each CNN costs a pass over a store."""
    own = [share for name, share in cnns if name == backbone and share != NO_IMAGE]
    return trained_on in (min(own, key=_labels), max(own, key=_labels)) if own else False


def _labels(trained_on: str) -> int:
    order = {WEB: -3, ZERO_SHOT: -2, ADAPTED: -1, LSTM: 0, CNN: 1}
    return order[trained_on] if trained_on in order else int(trained_on)
