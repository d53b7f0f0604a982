"""Figures of one method and comparison of two, in JSON types, each figure with its definition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.classes import single_labels
from attn.eval.metrics import (
    AP_KINDS,
    class_average_precision,
    class_rankings,
    hit_at_k,
    map_of_rankings,
    per_class_accuracy,
    top_k_accuracy,
    true_class_rank,
)
from attn.eval.significance import (
    Interval,
    bootstrap_draws,
    bootstrap_interval,
    compare_paired,
    percentile_interval,
    resample_rankings,
)

EVALUATOR = (
    "attn.eval.metrics: one score vector per video; equal scores rank by class index (accuracy) and by video id "
    "(average precision)"
)
RESAMPLES, SEED = 1000, 0
INTERVALS = f"95 % percentile bootstrap over videos, {RESAMPLES} draws, seed {SEED}"
AP_DEFINITIONS = {
    "noninterpolated": "sum of the precisions at the positives / number of positives",
    "interpolated": "VOC 2011: area under the precision envelope",
    "11point": "VOC 2007: mean precision envelope at recall 0, 0.1, …, 1",
}


def summarise(
    scores: Float[np.ndarray, "video cls"],
    positives: Bool[np.ndarray, "video cls"],
    *,
    class_names: tuple[str, ...],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    draws: Float[np.ndarray, "draw"] | None = None,
) -> dict[str, Any]:
    """Figures of one method: accuracies of videos of one class each, otherwise Hit@k; mean average precisions.

    Intervals are computed for the two figures that papers report, top-1 (or Hit@1) and non-interpolated mAP.

    Args:
        scores: score per video and class.
        positives: mask of the classes of each video, not all false.
        class_names: names of the classes.
        resamples: number of bootstrap draws.
        seed: random seed of the draws.
        draws: `map_draws` with these arguments, if they are known.
    """
    labels, rankings = single_labels(positives), class_rankings(scores)
    settings = {"resamples": resamples, "seed": seed}
    mean_ap = _defined_interval(map_draws(scores, positives, **settings) if draws is None else draws)
    maps: dict[str, Any] = {}
    for kind in AP_KINDS:
        value, num_classes = map_of_rankings(rankings, positives, kind=kind)
        extra = {"interval": mean_ap} if kind == "noninterpolated" else {}
        maps[f"map_{kind}"] = _figure(value, AP_DEFINITIONS[kind], classes=num_classes, **extra)
    if labels is None:
        rates = _hit_rates(scores, positives, **settings)
        by_class = class_average_precision(rankings, positives)
    else:
        by_class = per_class_accuracy(scores, labels)
        rates = _accuracies(scores, labels, by_class, **settings)
    per_class = {
        name: float(value) if np.isfinite(value) else None for name, value in zip(class_names, by_class, strict=True)
    }
    return {"videos": len(scores), **rates, **maps, "per_class": per_class}


def _accuracies(
    scores: Float[np.ndarray, "video cls"],
    labels: Int[np.ndarray, "video"],
    by_class: Float[np.ndarray, "cls"],
    **settings: int,
) -> dict[str, Any]:
    correct = true_class_rank(scores, labels) == 0
    top_1 = bootstrap_interval(lambda rows: float(correct[rows].mean()), len(labels), **settings)
    return {
        "top_1": _figure(top_k_accuracy(scores, labels), "correct videos / videos", interval=top_1),
        "top_3": _figure(top_k_accuracy(scores, labels, k=3), "true class among the 3 highest scores"),
        "per_class_mean": _figure(
            float(np.nanmean(by_class)),
            "mean of the top-1 accuracies of the classes that have videos",
            classes=int(np.isfinite(by_class).sum()),
        ),
    }


def _hit_rates(
    scores: Float[np.ndarray, "video cls"], positives: Bool[np.ndarray, "video cls"], **settings: int
) -> dict[str, Any]:
    """Hit@1 and Hit@3 of the videos that have a class."""
    labelled = positives.any(axis=1)
    correct = positives[labelled, scores[labelled].argmax(axis=1)]
    hit_1 = bootstrap_interval(lambda rows: float(correct[rows].mean()), len(correct), **settings)
    of_3 = hit_at_k(scores, positives, k=3)
    background = "videos without a class are left out"
    return {
        "background_videos": int((~labelled).sum()),
        "hit_1": _figure(
            float(correct.mean()), f"highest score is one of the video's classes; {background}", interval=hit_1
        ),
        "hit_3": _figure(of_3.hit, f"a class of the video among the 3 highest scores; {background}"),
        "average_hit_3": _figure(
            of_3.average, f"mean share of a video's classes among the 3 highest scores; {background}"
        ),
    }


def compare(
    first: Float[np.ndarray, "video cls"],
    second: Float[np.ndarray, "video cls"],
    labels: Int[np.ndarray, "video"],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Compare the top-1 accuracy of two methods on the same videos: difference, interval and McNemar's exact p."""
    first_right, second_right = (true_class_rank(scores, labels) == 0 for scores in (first, second))
    gain = first_right.astype(np.int8) - second_right
    paired = compare_paired(first_right, second_right)
    interval = bootstrap_interval(lambda rows: float(gain[rows].mean()), len(labels), resamples=resamples, seed=seed)
    return {
        "top_1_difference": _figure(float(gain.mean()), "top-1 of the first − top-1 of the second", interval=interval),
        "only_first_right": paired.only_first,
        "only_second_right": paired.only_second,
        "p_value": paired.p_value,
        "test": "McNemar, exact binomial, two-sided",
    }


def compare_multi_label(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    draws: tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw"]],
) -> dict[str, Any]:
    """Compare the non-interpolated mAP of two methods on the same videos: difference and its interval.

    Args:
        first, second: figures of the methods, by `summarise`.
        draws: `map_draws` of the methods, with equal seeds.
    """
    value = first["map_noninterpolated"]["value"] - second["map_noninterpolated"]["value"]
    definition = "mAP of the first − mAP of the second, non-interpolated"
    return {"map_difference": _figure(value, definition, interval=_defined_interval(draws[0] - draws[1]))}


def map_draws(
    scores: Float[np.ndarray, "video cls"],
    positives: Bool[np.ndarray, "video cls"],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Float[np.ndarray, "draw"]:
    """Non-interpolated mAP of each bootstrap draw of videos; NaN for a draw of background videos only.

    With 101 classes and 3783 videos, 1000 draws take about ten seconds.
    """
    rankings = class_rankings(scores)

    def mean_ap(rows: Int[np.ndarray, "drawn"]) -> float:
        if not positives[rows].any():
            return np.nan
        return map_of_rankings(resample_rankings(rankings, rows), positives).value

    return bootstrap_draws(mean_ap, len(scores), resamples=resamples, seed=seed)


def _defined_interval(draws: Float[np.ndarray, "draw"]) -> Interval:
    """Interval of the draws in which the figure is defined."""
    return percentile_interval(draws[np.isfinite(draws)])


def _figure(value: float, definition: str, **extra: Any) -> dict[str, Any]:
    return {"value": value, "definition": definition, **extra}
