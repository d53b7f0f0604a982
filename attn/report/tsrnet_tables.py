"""Tables of TSRNet with our results next to the published ones, in per cent."""

from collections.abc import Sequence
from typing import Any

from attn.report.page_blocks import Table
from attn.report.paper_tables import COUNTS, FIGURE_NAMES, counts_shown, estimate_shown, not_done, untrained, verdict

Record = dict[str, Any]
NAMES = {
    "whole": "whole video, true classes",
    "random": "random segments, true classes",
    "two_stream": "mean of all samples",
    "srnet": "SRNet (attention)",
    "tsrnet": "TSRNet (attention and transfer)",
    "tsrnet_ce": "TSRNet, trimmed videos classified",
}
MAIN_TIOU = 0.5


def tables(results: Record) -> list[Table]:
    """Return all tables for which there are results, as plain text."""
    evaluators = list(dict.fromkeys(one["evaluator"] for one in results["detection"]))
    titled = [
        (f"Recognition, {FIGURE_NAMES[results['figure']]}", _recognition(results)),
        ("Paired differences of recognition on the same videos, in points", _recognition_pairs(results)),
        *(
            (
                f"Detection, mAP at tIoU, {evaluator} ({_ap(results, evaluator)} AP)",
                _detection(results, evaluator),
            )
            for evaluator in evaluators
        ),
        (f"Paired differences of detection at tIoU {MAIN_TIOU}, in points", _pairs(results)),
        ("Training runs without progress", untrained(results)),
        ("Not done", not_done(results)),
    ]
    return [Table(rows[0], rows[1:], title) for title, rows in titled if len(rows) > 1]


def _recognition(results: Record) -> list[list[str]]:
    rows = [["CNN", "network", "ours", *COUNTS, "paper"]]
    for record in results["methods"]:
        found = record[results["figure"]]
        paper = str(record["paper"].get(results["figure"], "–"))
        rows.append(
            [record["backbone"], NAMES[record["method"]], estimate_shown(found), *counts_shown(record, found), paper]
        )
    return rows


def _recognition_pairs(results: Record) -> list[list[str]]:
    rows = [["difference", "points", "videos", "first is better"]]
    for pair in results["pairs"]:
        name = f"{NAMES[pair['first']]} − {NAMES[pair['second']]}"
        rows.append([name, estimate_shown(pair, sign="+"), str(pair["videos"]), verdict(pair)])
    return rows


def _detection(results: Record, evaluator: str) -> list[list[str]]:
    rows = [["network", *(f"{tiou:g}" for tiou in results["tiou"]), "mean", "seeds"]]
    for record in results["detection"]:
        if record["evaluator"] == evaluator:
            values = [f"{100 * value:.1f}" for value in record["map"]]
            place = results["tiou"].index(MAIN_TIOU)
            values[place] = estimate_shown(_at(record, place))
            rows.append([NAMES[record["method"]], *values, str(record["seeds"])])
    if (paper := results["paper_detection"]) is not None:
        rows.append(["TSRNet, paper, RGB and flow", *(f"{value:g}" for value in paper), "–", "–"])
    return rows


def _pairs(results: Record) -> list[list[str]]:
    rows, place = [["evaluator", "difference", "points", "videos", "first is better"]], results["tiou"].index(MAIN_TIOU)
    for pair in results["detection_pairs"]:
        name = f"{NAMES[pair['first']]} − {NAMES[pair['second']]}"
        found = _at(pair, place)
        rows.append([pair["evaluator"], name, estimate_shown(found, sign="+"), str(pair["videos"]), verdict(found)])
    return rows


def _at(record: Record, place: int) -> Record:
    """Figure at one threshold, with its interval."""
    return {"value": record["map"][place], "interval": record["intervals"][place]}


def _ap(results: Record, evaluator: str) -> str:
    found: Sequence[Record] = results["detection"]
    return next(one["ap"] for one in found if one["evaluator"] == evaluator)
