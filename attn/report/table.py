"""The figures of `metrics.json` as a small table for a log or a terminal, in per cent."""

from collections.abc import Iterator
from typing import Any

FIGURES = {"top_1": "top-1", "top_3": "top-3", "per_class_mean": "class mean", "map_noninterpolated": "mAP nonint."}


def metrics_table(metrics: dict[str, Any]) -> Iterator[str]:
    """Lines: a row per method with the interval of its top-1, a line per pair of methods, one of the calibration.

    Args:
        metrics: as `metrics.json` holds them; mAP is the non-interpolated one.
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
            f"right alone {found['only_first_right']} against {found['only_second_right']} videos; "
            f"p = {found['p_value']:.2g}"
        )
    if calibration := metrics.get("calibration"):
        yield _calibrated(calibration)


def _calibrated(calibration: dict[str, Any]) -> str:
    """By which videos, and whether the test was looked at: scores made with test videos are no forecast for others."""
    videos, where = calibration["videos"], calibration["store"]["url"]
    if calibration["transductive"]:
        both = calibration["tested_videos"]
        return f"calibrated on the test videos themselves ({both} of the {videos} unlabelled videos of {where})"
    return f"calibrated on {videos} unlabelled videos of {where}, none of them tested"
