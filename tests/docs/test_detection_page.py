"""The worked example of docs/detection.md gives the figures that the page says."""

import json
import re
from pathlib import Path

from attn.commands.evaluate_detection import evaluate_detection
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions

PAGE = (Path(__file__).resolve().parents[2] / "docs/detection.md").read_text()


def test_the_worked_example(tmp_path):
    for name, block in zip(("gt", "results"), re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL), strict=True):
        (tmp_path / f"{name}.json").write_text(block)
    options = EvaluateDetectionOptions(
        detections=(str(tmp_path / "results.json"),),
        annotations=str(tmp_path / "gt.json"),
        out=str(tmp_path),
        tiou=("0.3",),
        resamples=0,
    )
    assert evaluate_detection(options) == 0
    results = json.loads((tmp_path / "detection.json").read_text())["results"]
    said = {name: number(value) for name, value in re.findall(r"\* `(\w+)`: [^*#]*?AP = ([\d/]+)\.", PAGE)}
    assert said == {one["evaluator"]: one["average_map"] for one in results}


def number(text):
    over, _, under = text.partition("/")
    return int(over) / int(under or 1)
