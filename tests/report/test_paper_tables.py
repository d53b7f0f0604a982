"""The tables as text: what stands where, and that our numbers are never the paper's."""

import copy
import csv

import pytest

from attn.report.paper_tables import as_markdown
from attn.report.published import paper_value
from attn.report.tables_csv import as_csv


def figure(value, low, high, videos=112):
    return {"value": value, "interval": [low, high], "videos": videos}


def method(name, trained_on, top_1, **extra):
    place = {"backbone": "resnet101", "trained_on": trained_on, "method": name}
    place |= {"splits": 3, "seeds": 2, "cells": 6}
    values = {one: paper_value("ucf101", "resnet101", name, trained_on, one) for one in ("top_1", "top_3")}
    paper = {one: value for one, value in values.items() if value is not None}
    figures = {"top_1": figure(top_1, top_1 - 0.1, top_1 + 0.1), "top_3": figure(0.9, 0.8, 0.95)}
    return {**place, **figures, "paper": paper, **extra}


def pair(first, second, trained_on, value, low, high):
    return {"backbone": "resnet101", "trained_on": trained_on, "first": first, "second": second} | figure(
        value, low, high
    )


@pytest.fixture
def results():
    return {
        "dataset": "ucf101",
        "figure": "top_1",
        "unit": "video",
        "seeds": [0, 1],
        "web_images": [
            {"backbone": "resnet101", "seed": 0, "value": 0.875, "interval": [0.85, 0.9], "images": 800, "paper": 88.3}
        ],
        "methods": [
            method("CNN", "web", 0.5),
            method("UnAtt", "web", 0.55),
            method("finetune+CNN", "020", 0.6),
            method("finetune+EnergyNet", "020", 0.65),
            method("finetune+CNN", "100", 0.7),
            method("finetune+EnergyNet", "100", 0.69),
            method("NoImage+CNN", "noimage", 0.4),
        ],
        "pairs": [
            pair("UnAtt", "CNN", "web", 0.05, 0.01, 0.09),
            pair("finetune+EnergyNet", "finetune+CNN", "020", 0.05, -0.01, 0.11),
            pair("finetune+EnergyNet", "finetune+CNN", "100", -0.01, -0.03, -0.001),
        ],
        "gains": [
            {"backbone": "resnet101", "from": "020", "to": "100", **figure(-0.06, -0.1, -0.02)},
        ],
        "crossings": [{"backbone": "resnet101", "few": "010", "many": "020", **figure(0.02, 0.01, 0.04)}],
        "failed": {"resnet101/seed1/split2/020/cnn": "RuntimeError: out | of memory"},
        "options": {},
    }


def rows(text, title):
    """Cells of the table under a title."""
    section = text.split(f"## {title}")[1].split("## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]


def test_trainings_without_result_and_transductive_adaptation_are_said(results):
    assert "made" not in as_markdown(results).split("##")[0]
    results["trainings"] = {"count": 9, "untrained": {}}
    assert "All 9 training runs made progress." in as_markdown(results)
    results["trainings"]["untrained"] = {"cnn": ["all frames get | one class"]}
    results["options"] = {"adapt_to": "all", "adapt": True}
    text = as_markdown(results)
    assert "1 of 9 training runs made no progress." in text
    assert rows(text, "Training runs without progress")[-1] == ["`cnn`", "all frames get \\", "one class"]
    assert "including the test videos (transductive)" in text


def test_ours_stand_beside_the_papers(results):
    text = as_markdown(results)
    assert rows(text, "Table 1")[2] == [
        "resnet101",
        "0",
        "87.5 (85.0 to 90.0)",
        "800",
        "95.2 (HII-noisy), 94.1 (HII-filtered), 88.3 (BU101)",
    ]
    assert rows(text, "Table 4")[2:] == [
        ["resnet101", "CNN", "50.0 (40.0 to 60.0)", "90.0 (80.0 to 95.0)", "112", "3 × 2", "62.5", "78.5"],
        ["resnet101", "UnAtt", "55.0 (45.0 to 65.0)", "90.0 (80.0 to 95.0)", "112", "3 × 2", "66.4", "82.4"],
    ]
    by_method = {(row[1], row[2]): row[-1] for row in rows(text, "Table 5. With")[2:]}
    assert by_method["UnAtt", "none"] == "66.4"
    assert by_method["finetune+EnergyNet", "20 %"] == "85.0"
    assert by_method["finetune+EnergyNet", "100 %"] == "88.0"
    assert by_method["finetune+CNN", "20 %"] == "about 81.9 (gain of 3.1)"
    assert by_method["NoImage+CNN", "100 %"] == "–"


def test_the_papers_ucf101_stands_beside_other_data_sets_too(results):
    """The head of the column says of what it is."""
    other = results | {"dataset": "ut_interaction"}
    assert rows(as_markdown(other), "Table 5. With") == rows(as_markdown(results), "Table 5. With")


def test_missing_cells_are_told(results):
    results["methods"][0]["cells"] = 5
    found = rows(as_markdown(results), "Table 4")
    assert [row[5] for row in found[2:]] == ["5 of 3 × 2", "3 × 2"]


def test_the_curve_has_a_column_per_share(results):
    found = rows(as_markdown(results), "Figures 4 and 5")
    assert found[0] == ["CNN", "method", "20 %", "100 %"]
    assert found[2] == ["resnet101", "finetune+CNN", "60.0 (50.0 to 70.0)", "70.0 (60.0 to 80.0)"]


def test_the_order_is_judged_by_the_interval(results):
    verdicts = {(row[1], row[2]): row[3] for row in rows(as_markdown(results), "Does the order")[2:]}
    assert verdicts["none", "CNN < UnAtt"] == "holds"
    assert verdicts["20 %", "finetune+CNN < finetune+EnergyNet"] == "holds, within chance"
    assert verdicts["100 %", "finetune+CNN < finetune+EnergyNet"] == "**the other way round**"
    assert verdicts["20 % to 100 %", "the gain shrinks"] == "holds: -6.0 (-10.0 to -2.0)"
    crossing = "finetune+CNN with 20 % < finetune+EnergyNet with 10 %"
    assert verdicts["10 %, 20 %", crossing] == "holds: +2.0 (+1.0 to +4.0)"


def test_what_failed_is_named(results):
    (line,) = [line for line in as_markdown(results).splitlines() if "of memory" in line]
    assert line == "| `resnet101/seed1/split2/020/cnn` | RuntimeError: out \\| of memory |"


def test_maps_out_of_fold_are_named(results):
    assert "had not seen" not in as_markdown(results)
    assert "from CNNs not trained on the video (3 folds). Scores" in as_markdown(
        results | {"options": {"map_source": "out_of_fold", "folds": 3}}
    )


def test_tables_without_rows_are_left_out(results):
    empty = copy.deepcopy(results) | {
        "methods": [],
        "pairs": [],
        "gains": [],
        "crossings": [],
        "web_images": [],
        "failed": {},
    }
    text = as_markdown(empty)
    for title in ("Table 1", "Table 4", "Figures 4 and 5", "Not done", "Paired"):
        assert f"## {title}" not in text


def test_tvhi_gets_its_own_tables(results):
    tvhi = copy.deepcopy(results) | {"dataset": "tvhi", "figure": "map_noninterpolated"}
    for record in tvhi["methods"]:
        record["map_noninterpolated"] = figure(0.9, 0.85, 0.95, 100)
    text = as_markdown(tvhi)
    found = rows(text, "Tables 2 and 3")
    assert found[2] == ["resnet101", "CNN", "none", "90.0 (85.0 to 95.0)", "100", "3 × 2", "89.7", "91.6"]
    assert found[-1][-2:] == ["44.9", "44.9"]
    by_method = {(row[1], row[2]): row[-2:] for row in found[2:]}
    assert by_method["finetune+EnergyNet", "100 %"] == ["96.8", "98.7"]
    assert by_method["finetune+EnergyNet", "20 %"] == ["–", "–"]
    assert "## Table 4" not in text


def csv_lines(results, table):
    """Lines of a table of the CSV, without the columns that are empty."""
    lines = csv.DictReader(as_csv(results).splitlines())
    return [{key: value for key, value in line.items() if value} for line in lines if line["table"] == table]


def test_csv_has_a_line_per_method_and_figure(results):
    lines = csv_lines(results, "methods")
    assert len(lines) == 2 * len(results["methods"])
    assert lines[0] == {
        "table": "methods",
        "dataset": "ucf101",
        "backbone": "resnet101",
        "trained_on": "web",
        "method": "CNN",
        "figure": "top_1",
        "value": "0.500000",
        "low": "0.400000",
        "high": "0.600000",
        "paper": "62.5",
        "videos": "112",
        "splits": "3",
        "seeds": "2",
        "cells": "6",
    }
    paper = {(line["method"], line["trained_on"], line["figure"]): line.get("paper") for line in lines}
    assert paper["CNN", "web", "top_3"] == "78.5"
    assert paper["finetune+CNN", "020", "top_1"] == "about 81.9 (gain of 3.1)"
    assert paper["finetune+CNN", "020", "top_3"] is None


def test_csv_has_the_other_tables(results):
    results["pairs"][0] |= {"splits": 3, "seeds": 2, "cells": 5}
    about = {"dataset": "ucf101", "backbone": "resnet101"}
    (image,) = csv_lines(results, "web_images")
    assert image == about | {
        "table": "web_images",
        "seed": "0",
        "trained_on": "web",
        "method": "CNN",
        "figure": "web_accuracy",
        "value": "0.875000",
        "low": "0.850000",
        "high": "0.900000",
        "paper": "88.3",
        "images": "800",
    }
    numbers = ("value", "low", "high", "videos")
    pair, gain, crossing = (csv_lines(results, table)[0] for table in ("pairs", "gains", "crossings"))
    assert pair == about | {"table": "pairs", "trained_on": "web", "first": "UnAtt", "second": "CNN"} | {
        "figure": "top_1",
        **dict(zip(numbers, ("0.050000", "0.010000", "0.090000", "112"), strict=True)),
        "splits": "3",
        "seeds": "2",
        "cells": "5",
    }
    assert gain == about | {"table": "gains", "from": "020", "to": "100", "figure": "top_1"} | dict(
        zip(numbers, ("-0.060000", "-0.100000", "-0.020000", "112"), strict=True)
    )
    assert crossing == about | {"table": "crossings", "few": "010", "many": "020", "figure": "top_1"} | dict(
        zip(numbers, ("0.020000", "0.010000", "0.040000", "112"), strict=True)
    )
    assert len(csv_lines(results, "pairs")) == 3


def test_csv_has_both_numbers_of_the_paper(results):
    both = {"HII-filtered": 89.7, "HII-noisy": 91.6}
    results["methods"][0] |= {"map_noninterpolated": figure(0.9, 0.85, 0.95), "paper": {"map_noninterpolated": both}}
    (found,) = (line for line in csv_lines(results, "methods") if line["figure"] == "map_noninterpolated")
    assert found["paper"] == "89.7 (HII-filtered), 91.6 (HII-noisy)"
