"""Table of the figures of `metrics.json` for the log or the terminal, in per cent."""

from collections.abc import Iterator, Mapping
from typing import Any

FIGURES = {"top_1": "top-1", "top_3": "top-3", "per_class_mean": "class mean", "map_noninterpolated": "mAP nonint."}
OF_SEVERAL = {
    "map_noninterpolated": "mAP nonint.",
    "map_interpolated": "mAP interp.",
    "hit_1": "Hit@1",
    "hit_3": "Hit@3",
}
"""Figures of videos of several classes or none."""


def figures_shown(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Figures of an evaluation and their headings, the main one first.

    Args:
        metrics: content of `metrics.json`.
    """
    return OF_SEVERAL if any("hit_1" in found for found in metrics["methods"].values()) else FIGURES


def metrics_table(metrics: dict[str, Any]) -> Iterator[str]:
    """Lines of the table: one per method with its figures, one per pair of methods, one about the calibration.

    Args:
        metrics: content of `metrics.json`; mAP is non-interpolated.
    """
    methods, shown = metrics["methods"], figures_shown(metrics)
    main, main_head = ("map_noninterpolated", "mAP") if shown is OF_SEVERAL else ("top_1", "top-1")
    width, heads = max(map(len, methods), default=0), " ".join(f"{head:>11}" for head in shown.values())
    yield f"{'%':<{width}} {heads} {f'{main_head}, 95 %':>14} {'videos':>7}"
    for name, found in methods.items():
        values = " ".join(f"{100 * found[figure]['value']:>11.1f}" for figure in shown)
        low, high = (100 * bound for bound in found[main]["interval"])
        yield f"{name:<{width}} {values} {f'{low:.1f} to {high:.1f}':>14} {found['videos']:>7}"
    if background := max((found.get("background_videos", 0) for found in methods.values()), default=0):
        yield f"videos without a class, negatives of every class in the mAP and left out of Hit@k: {background}"
    for pair, found in metrics["paired"].items():
        yield f"{pair}: {_difference(found)}"
    for name, found in metrics.get("localisation", {"methods": {}})["methods"].items():
        if found["num_frames"]:
            share, ratio, frames = 100 * found["share"], found["ratio"], found["num_frames"]
            yield f"{name}: {share:.1f} % of the attention is in the boxes of {frames} frames, {ratio:.2f} times chance"
            places = {"peak in a box": "pointing", "region right at IoU 0.5": "precision"}
            yield f"{name}: " + ", ".join(f"{head} {100 * found[key]:.1f} %" for head, key in places.items())
    if calibration := metrics.get("calibration"):
        yield _calibrated(calibration)


def _difference(pair: Mapping[str, Any]) -> str:
    difference = pair["map_difference"] if "map_difference" in pair else pair["top_1_difference"]
    low, high = (100 * bound for bound in difference["interval"])
    value = f"{100 * difference['value']:+.1f} ({low:+.1f} to {high:+.1f})"
    if "map_difference" in pair:
        return f"{value} mAP"
    return (
        f"{value} top-1; videos right only with the first: {pair['only_first_right']}, "
        f"only with the second: {pair['only_second_right']}; p = {pair['p_value']:.2g}"
    )


def _calibrated(calibration: dict[str, Any]) -> str:
    """Line about the calibration videos and whether they include test videos, which biases the figures."""
    videos, where = calibration["videos"], calibration["store"]["url"]
    if calibration["transductive"]:
        both = calibration["tested_videos"]
        return f"calibrated on the test videos themselves ({both} of the {videos} unlabelled videos of {where})"
    return f"calibrated on {videos} unlabelled videos of {where}, without test videos"
