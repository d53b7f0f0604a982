"""Tables of attention distillation with our results next to the published ones."""

from typing import Any

from attn.report.page_blocks import Table
from attn.report.paper_tables import COUNTS, counts_shown, estimate_shown, not_done, untrained, verdict

Record = dict[str, Any]
NAMES = {
    "rgb": "RGB",
    "attention": "RGB and attention, no teacher",
    "distilled": "RGB, attention distilled from flow",
    "shuffled": "control, teacher of another video",
    "teacher": "flow teacher",
    "fused": "distilled and flow teacher, fused",
}
LOCALISATION = {
    "ratio": "times a uniform map",
    "pointing": "peak in the box, %",
    "precision": "right at IoU 0.5, %",
}
"""Figures of localisation that are compared, with their headings."""


def tables(results: Record) -> list[Table]:
    """Return all tables for which there are results, as plain text."""
    titled = [
        ("Networks, top-1", _methods(results)),
        ("Paired differences on the same videos, in points", _pairs(results)),
        ("Does the order of the paper hold?", _orders(results)),
        ("Attention in the boxes of the action, by our own protocol", _localisation(results)),
        ("Paired differences of the motion maps", _localisation_pairs(results)),
        ("Training runs without progress", untrained(results)),
        ("Not done", not_done(results)),
    ]
    return [Table(rows[0], rows[1:], title) for title, rows in titled if len(rows) > 1]


def _methods(results: Record) -> list[list[str]]:
    rows = [["backbone", "network", "top-1", "top-3", *COUNTS, "paper"]]
    for found in results["methods"]:
        figures = [estimate_shown(found[figure]) for figure in ("top_1", "top_3")]
        counted, paper = counts_shown(found, found["top_1"]), str(found["paper"].get("top_1", "–"))
        rows.append([found["backbone"], NAMES[found["method"]], *figures, *counted, paper])
    return rows


def _pairs(results: Record) -> list[list[str]]:
    rows = [["difference", "points", "videos"]]
    return rows + [[_name(pair), estimate_shown(pair, sign="+"), str(pair["videos"])] for pair in results["pairs"]]


def _orders(results: Record) -> list[list[str]]:
    rows = [["the paper says", "here"]]
    for pair in results["pairs"]:
        if (pair["first"], pair["second"]) in (("distilled", "rgb"), ("distilled", "attention")):
            rows.append([f"{NAMES[pair['second']]} < {NAMES[pair['first']]}", verdict(pair)])
    return rows


def _localisation(results: Record) -> list[list[str]]:
    rows = [["network", "map", "in the box, %", "uniform, %", *LOCALISATION.values(), "uniform, right, %", *COUNTS]]
    for found in results.get("localisation", ()):
        shares = [estimate_shown(found["share"]), f"{100 * found['chance']['value']:.1f}"]
        figures = [_shown(found, figure) for figure in LOCALISATION]
        uniform = f"{100 * found['uniform_precision']['value']:.1f}"
        counted = counts_shown(found, found["share"])
        rows.append([NAMES[found["method"]], found["map"], *shares, *figures, uniform, *counted])
    if len(rows) > 1:
        unknown = ["–"] * (len(rows[0]) - 3)
        paper = f"{results['paper_localisation']} (unverified, THUMOS'13, protocol unknown)"
        rows.append(["paper, precision", "motion", *unknown[:4], paper, *unknown[5:], "–"])
    return rows


def _localisation_pairs(results: Record) -> list[list[str]]:
    rows = [["difference", *LOCALISATION.values(), "videos"]]
    for pair in results.get("localisation_pairs", ()):
        figures = [_shown(pair, figure, sign="+") for figure in LOCALISATION]
        rows.append([_name(pair), *figures, str(pair["ratio"]["videos"])])
    return rows


def _name(pair: Record) -> str:
    return f"{NAMES[pair['first']]} − {NAMES[pair['second']]}"


def _shown(found: Record, figure: str, sign: str = "") -> str:
    if figure != "ratio":
        return estimate_shown(found[figure], sign=sign)
    value, (low, high) = found[figure]["value"], found[figure]["interval"]
    return f"{value:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"
