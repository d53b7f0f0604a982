"""Tables of the soft-attention LSTM with our results next to the published ones, in per cent."""

from typing import Any

from attn.report.page_blocks import Table
from attn.report.paper_tables import COUNTS, FIGURE_NAMES, counts_shown, estimate_shown, not_done, untrained, verdict

Record = dict[str, Any]
NAMES = {
    "attention": "soft attention, λ = 0",
    "average": "average-pooled LSTM",
    "max": "max-pooled LSTM",
    "hidden": "soft attention by the hidden state",
    "lambda1": "soft attention, λ = 1",
    "lambda10": "soft attention, λ = 10",
    "svm": "SVM on mean features",
    "cnn": "fine-tuned CNN, vote",
    "unatt": "fine-tuned CNN, UnAtt",
}
ORDERS = (
    *(("attention", "average"), ("attention", "max")),
    *(("attention", "lambda1"), ("lambda1", "lambda10")),
)
"""Orders that the paper reports for HMDB51, UCF-11 and Hollywood2; of average and max pooling, either may be better."""


def tables(results: Record) -> list[Table]:
    """Return all tables for which there are results, as plain text."""
    titled = [
        (f"Networks, {FIGURE_NAMES[results['figure']]}", _methods(results)),
        ("Paired differences on the same videos, in points", _pairs(results)),
        ("Does the order of the paper hold?", _orders(results)),
        ("Training runs without progress", untrained(results)),
        ("Not done", not_done(results)),
    ]
    return [Table(rows[0], rows[1:], title) for title, rows in titled if len(rows) > 1]


def _methods(results: Record) -> list[list[str]]:
    main = results["figure"]
    beside = ["top_3"] if main == "top_1" else []
    rows = [["CNN", "network", "ours", *(FIGURE_NAMES[figure] for figure in beside), *COUNTS, "paper"]]
    for record in results["methods"]:
        figures = [estimate_shown(record[figure]) for figure in (main, *beside)]
        paper = str(record["paper"].get(main, "–"))
        counted = counts_shown(record, record[main])
        rows.append([record["backbone"], NAMES[record["method"]], *figures, *counted, paper])
    return rows


def _pairs(results: Record) -> list[list[str]]:
    rows = [["CNN", "difference", "points", "videos"]]
    for pair in results["pairs"]:
        name = f"{NAMES[pair['first']]} − {NAMES[pair['second']]}"
        rows.append([pair["backbone"], name, estimate_shown(pair, sign="+"), str(pair["videos"])])
    return rows


def _orders(results: Record) -> list[list[str]]:
    rows = [["CNN", "the paper says", "here"]]
    for pair in results["pairs"]:
        if (pair["first"], pair["second"]) in ORDERS:
            said = f"{NAMES[pair['second']]} < {NAMES[pair['first']]}"
            rows.append([pair["backbone"], said, verdict(pair)])
    return rows
