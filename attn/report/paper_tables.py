"""Tables and figures of the paper, with our results next to the published ones, as Markdown.

Each of our figures has a 95 % bootstrap interval and the number of test videos. All figures are in per cent.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attn.report import published
from attn.report.page_blocks import Table
from attn.report.published import as_text, paper_value

Record = dict[str, Any]
WEB, NO_IMAGE = "web", "noimage"
WITHOUT_LABELS = (WEB, "zeroshot", "adapted")
COUNTS = ("videos", "splits × seeds")
FIGURE_NAMES = {
    "top_1": "top-1",
    "top_3": "top-3",
    "hit_1": "Hit@1",
    "map_noninterpolated": "mAP (non-interpolated)",
}
STEPS = ("step", "why")
REFUTED = "the other way round"
ORDERS = (
    ("UnAtt", "CNN"),
    ("finetune+UnAtt", "finetune+CNN"),
    ("finetune+EnergyNet", "finetune+CNN"),
    ("finetune+EnergyNet", "finetune+UnAtt"),
)


def as_markdown(results: Record, shown: Sequence[Table] | None = None) -> str:
    """Format the results as Markdown, with the given tables (default: all of `tables`)."""
    about = (
        f"{about_results(results)} Scores, lists and settings lie beside this file; in the CSV and the JSON of the "
        "same tables our numbers go from 0 to 1, the paper's are per cent."
    )
    parts = [f"# {results['dataset']}", about]
    for table in tables(results) if shown is None else shown:
        parts += [f"## {table.title}", "\n".join(_lines_of(table))]
    return "\n\n".join(parts) + "\n"


def tables(results: Record) -> list[Table]:
    """Return all tables for which there are results, as plain text."""
    titled = [("Table 1. CNNs on held-out Web images, accuracy", _table_1(results))]
    if results["figure"] == "map_noninterpolated":
        titled += [
            ("Tables 2 and 3. mAP over the classes", _table_2(results)),
            ("Table 3. Others, as the paper quotes them", _others(published.TVHI_OTHERS)),
        ]
    else:
        titled += [
            ("Table 4. Without video labels", _table_4(results)),
            ("Table 5. With video labels, top-1", _table_5(results)),
        ]
        if results["dataset"] == "ucf101":
            titled.append(("Table 5. Others, as the paper quotes them", _others(published.UCF101_OTHERS)))
    titled += [
        (f"Figures 4 and 5. {FIGURE_NAMES[results['figure']]} by share of the training videos", _curve(results)),
        ("Paired differences on the same videos, in points", _pairs(results)),
        (f"Beside {results.get('other')}, in points", _beside(results)),
        ("Does the order of the paper hold?", _orders(results)),
        ("Training runs without progress", untrained(results)),
        ("Not done", not_done(results)),
    ]
    return [Table(rows[0], rows[1:], title) for title, rows in titled if len(rows) > 1]


def _lines_of(table: Table) -> Iterator[str]:
    """Lines of a table in Markdown: names of steps as code, refuted orders in bold."""
    yield from (_line(table.head), _line(["---"] * len(table.head)))
    for row in table.rows:
        cells = [cell.replace("|", "\\|").replace(REFUTED, f"**{REFUTED}**") for cell in row]
        yield _line([f"`{cells[0]}`", *cells[1:]] if table.head[0] == STEPS[0] else cells)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def about_results(results: Record) -> str:
    """Sentences about the figures of the tables: means over which runs, intervals over which draws."""
    within = {"video": "test videos within each split", "group": "groups of test videos within each split"}
    drawn = {**within, "split": "whole splits"}[results["unit"]]
    seeds, options = len(results["seeds"]), results["options"]
    made = _map_source(options) + _adapted_to(options) + _trainings(results)
    return (
        f"Means over splits and {seeds} seed{'s' if seeds > 1 else ''}, in per cent; in brackets 95 % percentile "
        f"bootstrap intervals, drawn over {drawn}, 1000 draws: they know the luck of the test videos, not that of the "
        f"training.{made}"
    )


def _map_source(options: Record) -> str:
    if options.get("map_source") != "out_of_fold" or not options.get("fractions", True):
        return ""
    return (
        f" EnergyNets were trained on out-of-fold maps, from CNNs not trained on the video ({options['folds']} folds)."
    )


def _adapted_to(options: Record) -> str:
    if options.get("adapt_to") != "all" or not options.get("adapt"):
        return ""
    return " Adapted and calibrated on all videos without labels, including the test videos (transductive)."


def _trainings(results: Record) -> str:
    """Sentence about the number of training runs; empty for older results, which do not include it."""
    if not results.get("trainings", {}).get("count"):
        return ""
    count, untrained = results["trainings"]["count"], len(results["trainings"]["untrained"])
    if not untrained:
        return f" All {count} training runs made progress."
    return f" {untrained} of {count} training runs made no progress."


def untrained(results: Record) -> list[list[str]]:
    """Rows of the trainings that learnt nothing, with the reasons."""
    found = results.get("trainings", {}).get("untrained", {})
    return [list(STEPS), *([name, " ".join(why)] for name, why in found.items())]


def _table_1(results: Record) -> list[list[str]]:
    rows = [["CNN", "seed", "ours", "images", "paper"]]
    for found in results["web_images"]:
        paper = {name: value for (cnn, name), value in published.WEB_VALIDATION.items() if cnn == found["backbone"]}
        rows.append([found["backbone"], str(found["seed"]), estimate_shown(found), str(found["images"]), _cell(paper)])
    return rows


def _table_2(results: Record) -> list[list[str]]:
    rows = [["CNN", "method", "training videos", "ours", *COUNTS, "paper, HII-filtered", "paper, HII-noisy"]]
    for record in results["methods"]:
        found = record["map_noninterpolated"]
        place = [record["backbone"], record["method"], _share(record)]
        method = record["backbone"], record["method"], record["trained_on"]
        paper = paper_value(results["dataset"], *method, "map_noninterpolated")
        # Without Web images, both columns have the same published number.
        both = paper if isinstance(paper, dict) else dict.fromkeys(published.WEB_IMAGES["tvhi"], paper)
        rows.append([*place, estimate_shown(found), *counts_shown(record, found), *map(_cell, both.values())])
    return rows


def _table_4(results: Record) -> list[list[str]]:
    rows = [["CNN", "method", "top-1", "top-3", *COUNTS, "paper on UCF101, top-1", "top-3"]]
    for record in results["methods"]:
        if record["trained_on"] in WITHOUT_LABELS:
            ours = [
                estimate_shown(record["top_1"]),
                estimate_shown(record["top_3"]),
                *counts_shown(record, record["top_1"]),
            ]
            paper = [_on_ucf101(record, figure) for figure in ("top_1", "top_3")]
            rows.append([record["backbone"], record["method"], *ours, *paper])
    return rows


def _table_5(results: Record) -> list[list[str]]:
    rows = [["CNN", "method", "training videos", "ours", *COUNTS, "paper on UCF101"]]
    for record in results["methods"]:
        found = record["top_1"]
        place = [record["backbone"], record["method"], _share(record)]
        rows.append([*place, estimate_shown(found), *counts_shown(record, found), _on_ucf101(record, "top_1")])
    return rows


def _on_ucf101(record: Record, figure: str) -> str:
    """Published figure of a method on UCF101 with ResNet-101, shown for any data set and CNN (see the header)."""
    return _cell(paper_value("ucf101", published.RESNET, record["method"], record["trained_on"], figure))


def _cell(paper: published.PaperValue | None) -> str:
    return as_text(paper) or "–"


def _others(numbers: dict[str, float]) -> list[list[str]]:
    return [["method", "paper"], *([name, str(value)] for name, value in numbers.items())]


def _curve(results: Record) -> list[list[str]]:
    """Table with a row per CNN and method and a column per share of the training videos."""
    records = [record for record in results["methods"] if record["trained_on"] not in (*WITHOUT_LABELS, NO_IMAGE)]
    shares = sorted({record["trained_on"] for record in records})
    rows = [["CNN", "method", *(f"{int(share)} %" for share in shares)]]
    for backbone, method in dict.fromkeys((record["backbone"], record["method"]) for record in records):
        by_share = {
            record["trained_on"]: estimate_shown(record[results["figure"]])
            for record in records
            if (record["backbone"], record["method"]) == (backbone, method)
        }
        rows.append([backbone, method, *(by_share.get(share, "–") for share in shares)])
    return rows


def _pairs(results: Record) -> list[list[str]]:
    rows = [["CNN", "training videos", "difference", "points", "videos"]]
    for pair in results["pairs"]:
        name = f"{pair['first']} − {pair['second']}"
        rows.append([pair["backbone"], _share(pair), name, estimate_shown(pair, sign="+"), str(pair["videos"])])
    return rows


def _beside(results: Record) -> list[list[str]]:
    """Table of this reproduction beside another one, with paired differences."""
    rows = [["CNN", "training videos", "method", "this", "other", "this − other", "videos"]]
    for found in results.get("beside", ()):
        place = [found["backbone"], _share(found), found["method"]]
        figures = [estimate_shown(found["this"]), estimate_shown(found["other"]), estimate_shown(found, sign="+")]
        rows.append([*place, *figures, str(found["videos"])])
    return rows


def _orders(results: Record) -> list[list[str]]:
    rows = [["CNN", "training videos", "the paper says", "here"]]
    for pair in results["pairs"]:
        if (pair["first"], pair["second"]) in ORDERS:
            rows.append([pair["backbone"], _share(pair), f"{pair['second']} < {pair['first']}", verdict(pair)])
    rows.extend(_gains(results))
    for found in results["crossings"]:
        few, many = f"{int(found['few'])} %", f"{int(found['many'])} %"
        said = f"finetune+CNN with {many} < finetune+EnergyNet with {few}"
        rows.append([found["backbone"], f"{few}, {many}", said, f"{verdict(found)}: {estimate_shown(found, sign='+')}"])
    return rows


def _gains(results: Record) -> Iterator[list[str]]:
    """Rows on whether the gain of EnergyNet over the CNN shrinks with the share of training videos."""
    for gain in results["gains"]:
        shares = f"{int(gain['from'])} % to {int(gain['to'])} %"
        shrinks = {"value": -gain["value"], "interval": [-bound for bound in reversed(gain["interval"])]}
        yield [gain["backbone"], shares, "the gain shrinks", f"{verdict(shrinks)}: {estimate_shown(gain, sign='+')}"]


def not_done(results: Record) -> list[list[str]]:
    """Rows of the steps that failed, with the reasons."""
    return [list(STEPS), *map(list, results["failed"].items())]


def verdict(pair: Record) -> str:
    """Whether the first side of a pair is better."""
    low, high = pair["interval"]
    if low > 0:
        return "holds"
    if high < 0:
        return REFUTED
    return "holds, within chance" if pair["value"] > 0 else "does not hold, within chance"


def counts_shown(record: Record, found: Record) -> list[str]:
    missing = record["cells"] < record["splits"] * record["seeds"]
    return [str(found["videos"]), f"{record['cells']} of " * missing + f"{record['splits']} × {record['seeds']}"]


def _share(record: Record) -> str:
    trained_on = record["trained_on"]
    if trained_on in WITHOUT_LABELS:
        return "none"
    return "100 %" if trained_on == NO_IMAGE else f"{int(trained_on)} %"


def estimate_shown(found: Record, sign: str = "") -> str:
    """An estimate with its interval, in per cent."""
    low, high = found["interval"]
    return f"{100 * found['value']:{sign}.1f} ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"
