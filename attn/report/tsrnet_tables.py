"""Tables of TSRNet with our results next to the published ones, in per cent."""

from collections.abc import Sequence
from typing import Any, Literal

from attn.report.page_blocks import Table
from attn.report.paper_tables import COUNTS, FIGURE_NAMES, counts_shown, estimate_shown, not_done, untrained, verdict

Record = dict[str, Any]
BOUNDS = ("whole", "random")
NAMES = {
    "whole": "whole video, true classes",
    "random": "random segments, true classes",
    "two_stream": "mean of all samples",
    "srnet": "SRNet (attention)",
    "tsrnet": "TSRNet (attention and transfer)",
    "tsrnet_ce": "TSRNet, trimmed videos classified",
}
Stream = Literal["rgb", "flow", "fused"]
STREAMS: dict[str, str] = {"rgb": "RGB", "flow": "flow", "fused": "RGB and flow"}
MAIN_TIOU = 0.5


def method_name(variant: str, stream: Stream) -> str:
    """Name of a method in the files of the tables: the variant, of RGB if no stream is named."""
    return variant if stream == "rgb" else f"{variant}-{stream}"


def tables(results: Record) -> list[Table]:
    """Return all tables for which there are results, as plain text."""
    evaluators = list(dict.fromkeys(one["evaluator"] for one in results["detection"]))
    trained_on = f"; trained on {results['training_set']}" if "training_set" in results else ""
    titled = [
        (
            f"Recognition, {' and '.join(FIGURE_NAMES[one] for one in _figures(results))}{trained_on}",
            _recognition(results),
        ),
        (f"Paired differences of recognition on the same videos, in points{trained_on}", _recognition_pairs(results)),
        *(
            (
                f"Detection, mAP at tIoU, {evaluator} ({_ap(results, evaluator)} AP){trained_on}",
                _detection(results, evaluator),
            )
            for evaluator in evaluators
        ),
        (f"Paired differences of detection at tIoU {MAIN_TIOU}, in points{trained_on}", _pairs(results)),
        ("Training runs without progress", untrained(results)),
        ("Not done", not_done(results)),
    ]
    return [Table(rows[0], rows[1:], title) for title, rows in titled if len(rows) > 1]


def _figures(results: Record) -> list[str]:
    """Figures of recognition, the main one first."""
    main = results["figure"]
    others = [name for name in FIGURE_NAMES if name != main and any(name in one for one in results["methods"])]
    return [main, *others]


def _recognition(results: Record) -> list[list[str]]:
    figures, main = _figures(results), results["figure"]
    rows = [["CNN", "network", "stream", *(FIGURE_NAMES[one] for one in figures), *COUNTS, "paper"]]
    for record in results["methods"]:
        paper = str(record["paper"].get(main, "–"))
        shown = [estimate_shown(record[figure]) for figure in figures]
        counted = counts_shown(record, record[main])
        rows.append([record["backbone"], *_named(record["method"]), *shown, *counted, paper])
    return rows


def _recognition_pairs(results: Record) -> list[list[str]]:
    rows = [["difference", "points", "videos", "first is better"]]
    for pair in results["pairs"]:
        rows.append([_difference(pair), estimate_shown(pair, sign="+"), str(pair["videos"]), verdict(pair)])
    return rows


def _detection(results: Record, evaluator: str) -> list[list[str]]:
    rows = [["network", "stream", *(f"{tiou:g}" for tiou in results["tiou"]), "mean", "seeds"]]
    for record in results["detection"]:
        if record["evaluator"] == evaluator:
            values = [f"{100 * value:.1f}" for value in record["map"]]
            place = results["tiou"].index(MAIN_TIOU)
            values[place] = estimate_shown(_at(record, place))
            rows.append([*_named(record["method"]), *values, str(record["seeds"])])
    if (paper := results["paper_detection"]) is not None:
        rows.append(["TSRNet, paper", STREAMS["fused"], *(f"{value:g}" for value in paper), "–", "–"])
    return rows


def _pairs(results: Record) -> list[list[str]]:
    rows, place = [["evaluator", "difference", "points", "videos", "first is better"]], results["tiou"].index(MAIN_TIOU)
    for pair in results["detection_pairs"]:
        found = _at(pair, place)
        shown = [estimate_shown(found, sign="+"), str(pair["videos"]), verdict(found)]
        rows.append([pair["evaluator"], _difference(pair), *shown])
    return rows


def _named(method: str) -> tuple[str, str]:
    """Names of a network and of its stream; a bound has none."""
    variant, _, stream = method.partition("-")
    return NAMES[variant], "–" if variant in BOUNDS else STREAMS[stream or "rgb"]


def _difference(pair: Record) -> str:
    """Names of both sides, with their streams if one is not of RGB."""
    sides = [_named(pair[side]) for side in ("first", "second")]
    plain = all(stream in ("–", STREAMS["rgb"]) for _, stream in sides)
    return " − ".join(name if plain or stream == "–" else f"{name}, {stream}" for name, stream in sides)


def _at(record: Record, place: int) -> Record:
    """Figure at one threshold, with its interval."""
    return {"value": record["map"][place], "interval": record["intervals"][place]}


def _ap(results: Record, evaluator: str) -> str:
    found: Sequence[Record] = results["detection"]
    return next(one["ap"] for one in found if one["evaluator"] == evaluator)
