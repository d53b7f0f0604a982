"""Figures of the tables of any paper as CSV.

As in the JSON, ours range from 0 to 1, and the paper's are in per cent, as published.
"""

import csv
import io
from collections.abc import Iterator

from attn.report import published
from attn.report.paper_tables import FIGURE_NAMES, WEB, Record
from attn.report.published import as_text

COLUMNS = (
    *("table", "dataset", "backbone", "seed", "trained_on", "method", "first", "second", "from", "to", "few", "many"),
    *("figure", "value", "low", "high", "paper", "videos", "images", "splits", "seeds", "cells"),
)


def as_csv(results: Record) -> str:
    """Format the results as CSV, one line per figure; `table` is the key of its table in the JSON.

    Columns that do not apply are empty: only pairs have `first` and `second`, only gains have `from` and `to` (shares
    of the training videos), only crossings have `few` and `many`, only Web images have `seed`. The last column,
    `training_set`, is only in tables of untrimmed videos.
    """
    about = {name: results[name] for name in ("dataset", "training_set") if name in results}
    text = io.StringIO()
    writer = csv.DictWriter(
        text, tuple(dict.fromkeys((*COLUMNS, *about))), restval="", extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    for line in _lines(results):
        numbers = dict(zip(("value", "low", "high"), (line["value"], *line["interval"]), strict=True))
        shown = {column: f"{number:.6f}" for column, number in numbers.items()}
        writer.writerow(line | shown | about | {"paper": as_text(line.get("paper"))})
    return text.getvalue()


def _lines(results: Record) -> Iterator[Record]:
    """Records of one figure each, with the name of its table and, if available, the published value."""
    for found in results["web_images"]:
        place = {"table": "web_images", "trained_on": WEB, "method": "CNN", "figure": published.WEB_ACCURACY}
        yield {**found, **place}
    for record in results["methods"]:
        for figure in FIGURE_NAMES:
            if figure in record:
                paper = record["paper"].get(figure)
                yield {**record, **record[figure], "table": "methods", "figure": figure, "paper": paper}
    for table in ("pairs", "gains", "crossings", "beside"):
        for found in results.get(table, ()):
            yield {**found, "table": table, "figure": results["figure"]}
    for table in ("detection", "detection_pairs"):
        for found in results.get(table, ()):
            for tiou, value, interval in zip(results["tiou"], found["map"], found["intervals"], strict=False):
                figure = f"mAP@{tiou:g}, {found['evaluator']}"
                yield {**found, "table": table, "figure": figure, "value": value, "interval": interval}
    for table in ("localisation", "localisation_pairs"):
        for found in results.get(table, ()):
            place = {key: f"{found[key]}, {found['map']} map" for key in ("method", "first", "second") if key in found}
            for figure, estimate in found.items():
                if isinstance(estimate, dict):
                    yield {**found, **place, **estimate, "table": table, "figure": figure}
