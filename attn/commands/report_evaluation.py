"""Pieces of one evaluation: its methods, their pairs, its scores, and frames of its store."""

from collections.abc import Iterator, Mapping
from typing import Any

from attn.commands.evaluate import METRICS
from attn.commands.report_frames import FrameSearch
from attn.commands.report_options import ReportOptions
from attn.commands.report_runs import Found, Run, class_names, read_json
from attn.commands.report_scores import ScoreSet, method_name, pieces_of_scores
from attn.eval.pooled import Run as Scored
from attn.report.page_blocks import Note, Piece, Table
from attn.report.table import OF_SEVERAL, figures_shown
from attn.storage.filesystem import join
from attn.storage.scores import NAME, read_scores

SPLIT = "test"
WINDOW = 3


def read_evaluation(run: Run, options: ReportOptions, stores: Mapping[str, str]) -> Found:
    """Return the pieces of the output folder of `evaluate`.

    Args:
        run: the run.
        options: flags of the page.
        stores: URLs of stores by fingerprint. They are searched in place of the store that was evaluated, which may
            have moved.
    """
    metrics, scores = read_json(join(run.url, METRICS)), read_scores(join(run.url, NAME))
    positives = scores.positives
    methods = {name: {SPLIT: {0: Scored(values, positives)}} for name, values in scores.by_method.items()}
    scored = ScoreSet("", class_names(run), methods, {SPLIT: scores.video_ids})
    pieces = [*_methods(metrics), *pieces_of_scores(scored)]
    if options.examples:
        fingerprint = metrics["store"]["fingerprint"]
        search = FrameSearch(
            stores.get(fingerprint, metrics["store"]["url"]),
            fingerprint,
            {one: int(mask.argmax()) for one, mask in zip(scores.video_ids, positives, strict=True) if mask.sum() == 1},
            window=metrics["options"].get("window", WINDOW),
        )
        pieces += search.pieces(options)
    return Found(f"evaluation of {len(positives)} videos by {len(methods)} methods", pieces)


def _methods(metrics: Mapping[str, Any]) -> Iterator[Piece]:
    shown = figures_shown(metrics)
    head = ["method", *(f"{figure}, %" for figure in shown.values()), "videos", "definition"]
    rows = [
        [method_name(name), *(_figure(found[key]) for key in shown), str(found["videos"]), found["method"]]
        for name, found in metrics["methods"].items()
    ]
    yield Piece("methods", Note(f"In brackets: {metrics['intervals']}."))
    yield Piece("methods", Table(head, rows))
    if paired := metrics["paired"]:
        yield Piece("methods", _pairs(paired, several=shown is OF_SEVERAL))
    for warning in metrics.get("warnings", ()):
        yield Piece("methods", Note(f"Warning: {warning}"))


def _pairs(paired: Mapping[str, Any], *, several: bool) -> Table:
    names = [" − ".join(method_name(one) for one in pair.split(" - ")) for pair in paired]
    title = "Paired differences on the same videos"
    if several:
        rows = [[name, _figure(one["map_difference"], "+")] for name, one in zip(names, paired.values(), strict=True)]
        return Table(["pair", "mAP, points"], rows, title)
    head = ["pair", "top-1, points", "right only with the first", "only with the second", "p"]
    rows = [
        [
            name,
            _figure(found["top_1_difference"], "+"),
            str(found["only_first_right"]),
            str(found["only_second_right"]),
            f"{found['p_value']:.2g}",
        ]
        for name, found in zip(names, paired.values(), strict=True)
    ]
    return Table(head, rows, title)


def _figure(found: Mapping[str, Any], sign: str = "") -> str:
    value = f"{100 * found['value']:{sign}.1f}"
    if "interval" not in found:
        return value
    low, high = found["interval"]
    return f"{value} ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"
