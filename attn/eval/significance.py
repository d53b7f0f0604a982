"""Uncertainty of figures: bootstrap intervals over videos, and an exact test of two methods on the same videos.

Only the sampling of videos is modelled. Clips of one group share a scene, so on UCF101 the true uncertainty is larger
than these intervals.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Statistic = Callable[[Int[np.ndarray, "video"]], float]
Statistics = Callable[[Int[np.ndarray, "video"]], Float[np.ndarray, "*figure"]]


class Interval(NamedTuple):
    """Bounds of a confidence interval."""

    low: float
    high: float


def bootstrap_interval(
    statistic: Statistic, num_videos: int, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of a figure computed from videos.

    Args:
        statistic: function from indices of videos (drawn with replacement) to the figure.
        num_videos: number of videos.
        resamples: number of draws; the bounds vary by about 1/sqrt(resamples) of the interval's width.
        confidence: share of the draws between the bounds, 0–1.
        seed: random seed; equal seeds give equal draws, so figures of two methods are resampled identically.

    Source: Efron 1979; percentile method.

    Example:
        >>> correct = np.arange(100) < 80
        >>> bootstrap_interval(lambda videos: float(correct[videos].mean()), 100)
        Interval(low=0.72, high=0.88)
    """
    return percentile_interval(
        bootstrap_draws(statistic, num_videos, resamples=resamples, seed=seed), confidence=confidence
    )


def bootstrap_draws(
    statistic: Statistic | Statistics, num_videos: int, *, resamples: int = 1000, seed: int = 0
) -> Float[np.ndarray, "draw *figure"]:
    """Figures of each bootstrap draw; arguments as in `bootstrap_interval`.

    The differences of the draws of two methods with equal seeds give the interval of their paired difference.
    """
    rng = np.random.default_rng(seed)
    return np.array([statistic(rng.integers(num_videos, size=num_videos)) for _ in range(resamples)])


def percentile_interval(draws: Float[np.ndarray, "draw"], *, confidence: float = 0.95) -> Interval:
    """Interval between the percentiles of the draws that leave equal shares outside."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))


def resample_rankings(
    rankings: Int[np.ndarray, "cls video"], videos: Int[np.ndarray, "video"]
) -> Int[np.ndarray, "cls video"]:
    """Rankings of a bootstrap draw without sorting again: each video is repeated as often as it was drawn.

    With a single sort, the interval of a mAP over 101 classes takes seconds instead of a minute.
    """
    times = np.bincount(videos, minlength=rankings.shape[1])
    return np.repeat(rankings.ravel(), times[rankings].ravel()).reshape(rankings.shape)


class Paired(NamedTuple):
    """Comparison of two methods: numbers of videos that only one of them classified correctly, and the p-value."""

    only_first: int
    only_second: int
    p_value: float


def compare_paired(first: Bool[np.ndarray, "video"], second: Bool[np.ndarray, "video"]) -> Paired:
    """Exact two-sided McNemar test on the videos that only one of two methods classified correctly.

    Under the null hypothesis, each of these n videos belongs to either method with probability 1/2. With k the smaller
    of the two numbers,

        p = min(1, 2 · sum_{i ≤ k} C(n,i) / 2^n)

    Args:
        first: mask of the videos that the first method classified correctly.
        second: mask of the videos that the second method classified correctly.

    Source: McNemar 1947, in its exact binomial form.

    Example:
        >>> first, second = np.arange(20) < 18, np.arange(20) < 12
        >>> compare_paired(first, second)
        Paired(only_first=6, only_second=0, p_value=0.03125)
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1))  # integers, so exact for any number of videos
    return Paired(only_first, only_second, min(1.0, 2 * tail / 2**n))
