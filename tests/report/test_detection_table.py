"""Tables of an evaluation of detections: every one says how its figures were made."""

from attn.report.detection_table import detection_lines, detection_markdown

RESULT = {
    "detections": "run",
    "evaluator": "wtalc",
    "rule": "first come",
    "ambiguous": "removed",
    "step_s": 0.64,
    "ap": "noninterpolated",
    "ap_definition": "a mean",
    "videos": 9,
    "classes": 3,
    "map": [0.5, 0.25],
    "map_intervals": [[0.4, 0.6], [0.1, 0.3]],
    "average_map": 0.375,
    "average_map_interval": [0.3, 0.4],
}
NO_INTERVALS = {"map_intervals": [None, None], "average_map_interval": None}
ABOUT = {
    "file": "gt.json",
    "subset": "test",
    "videos": 9,
    "segments": 20,
    "classes": 3,
    "excluded": ["x", "y"],
    "without_segments": [],
}
PAIR = {
    **{name: RESULT[name] for name in ("evaluator", "ap")},
    "first": "better",
    "second": "run",
    "map": [0.1, -0.05],
    "map_intervals": [[-0.1, 0.3], [-0.1, 0.2]],
    "average_map": 0.025,
    "average_map_interval": [-0.1, 0.25],
}


def record(*results, **changes):
    return {
        "ground_truth": ABOUT,
        "tiou": [0.5, 0.75],
        "intervals": "95 %",
        "results": results or [RESULT],
        "paired": [],
        "warnings": [],
        **changes,
    }


def test_a_table_on_a_page():
    page = detection_markdown(record(paired=[PAIR], warnings=["take care"]))
    assert (
        "gt.json (test): 9 videos, 20 segments, 3 classes; excluded: x, y; annotated without a segment: none." in page
    )
    assert (
        "mAP in % over 3 classes by tIoU. Evaluator wtalc: first come; Ambiguous segments removed; times in steps of "
        "0.64 s. AP noninterpolated: a mean. 9 videos; excluded: x, y."
    ) in page
    assert "| detections | 0.5 | 0.75 | mean |\n|---|---|---|---|\n" in page
    assert "| run | 50.0 (40.0 to 60.0) | 25.0 (10.0 to 30.0) | 37.5 (30.0 to 40.0) |" in page
    assert "| better - run | +10.0 (-10.0 to +30.0) | -5.0 (-10.0 to +20.0) | +2.5 (-10.0 to +25.0) |" in page
    assert page.endswith("## Warnings\n\n* take care\n")


def test_a_page_without_intervals():
    page = detection_markdown(record(RESULT | NO_INTERVALS, intervals=None))
    assert "| run | 50.0 | 25.0 | 37.5 |" in page
    assert "parentheses" not in page


def test_lines_for_the_terminal():
    other = RESULT | {"detections": "better", "map": [0.6, 1.0], "average_map": 0.8}
    first, head, one, two, pair = detection_lines(record(RESULT, other, paired=[PAIR]))
    assert "9 videos" in first
    assert "excluded: x, y" in first
    assert len(head) == len(one) == len(two)
    assert head.split() == ["mAP", "in", "%", "0.5", "0.75", "mean"]
    assert two.split() == ["wtalc", "(noninterpolated)", "better", "60.0", "100.0", "80.0"]
    assert pair == "better - run, wtalc, mean: +2.5 (-10.0 to +25.0)"
