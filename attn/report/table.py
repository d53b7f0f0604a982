"""Table of the figures of `metrics.json` for the log or the terminal, in per cent."""

from collections.abc import Iterator
from typing import Any

FIGURES = {"top_1": "top-1", "top_3": "top-3", "per_class_mean": "class mean", "map_noninterpolated": "mAP nonint."}


def metrics_table(metrics: dict[str, Any]) -> Iterator[str]:
    """Lines of the table: one per method with its figures, one per pair of methods, one about the calibration.

    Args:
        metrics: content of `metrics.json`; mAP is non-interpolated.
    """
    width = max(map(len, metrics["methods"]), default=0)
    heads = " ".join(f"{head:>11}" for head in FIGURES.values())
    yield f"{'%':<{width}} {heads} {'top-1, 95 %':>14} {'videos':>7}"
    for name, found in metrics["methods"].items():
        values = " ".join(f"{100 * found[figure]['value']:>11.1f}" for figure in FIGURES)
        low, high = (100 * bound for bound in found["top_1"]["interval"])
        yield f"{name:<{width}} {values} {f'{low:.1f} to {high:.1f}':>14} {found['videos']:>7}"
    for pair, found in metrics["paired"].items():
        difference = found["top_1_difference"]
        low, high = (100 * bound for bound in difference["interval"])
        yield (
            f"{pair}: {100 * difference['value']:+.1f} ({low:+.1f} to {high:+.1f}) top-1; "
            f"videos right only with the first: {found['only_first_right']}, "
            f"only with the second: {found['only_second_right']}; "
            f"p = {found['p_value']:.2g}"
        )
    if calibration := metrics.get("calibration"):
        yield _calibrated(calibration)


def _calibrated(calibration: dict[str, Any]) -> str:
    """Line about the calibration videos and whether they include test videos, which biases the figures."""
    videos, where = calibration["videos"], calibration["store"]["url"]
    if calibration["transductive"]:
        both = calibration["tested_videos"]
        return f"calibrated on the test videos themselves ({both} of the {videos} unlabelled videos of {where})"
    return f"calibrated on {videos} unlabelled videos of {where}, without test videos"
