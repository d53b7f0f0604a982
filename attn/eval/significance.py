"""How sure a number is: bootstrap intervals over videos, and the exact test of two methods on the same videos.

Only the choice of the videos is modelled. Clips of one group share a scene, so on UCF101 the true uncertainty is
larger than these intervals say.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

Statistic = Callable[[Int[np.ndarray, "video"]], float]


class Interval(NamedTuple):
    """Bounds of a confidence interval."""

    low: float
    high: float


def bootstrap_interval(
    statistic: Statistic, num_videos: int, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of a figure computed from videos.

    Args:
        statistic: the figure, given the indices of the videos to compute it from (drawn with replacement).
        num_videos: how many videos there are.
        resamples: draws; the bounds themselves wobble by about 1/sqrt(resamples) of the interval's width.
        confidence: share of the draws between the bounds, 0–1.
        seed: random state; equal seeds give equal draws, so figures of two methods are resampled alike.

    Source: Efron 1979; percentile method.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(num_videos, size=num_videos)) for _ in range(resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def resample_rankings(
    rankings: Int[np.ndarray, "cls video"], videos: Int[np.ndarray, "video"]
) -> Int[np.ndarray, "cls video"]:
    """The rankings of a bootstrap draw, without sorting again: every video stands as often as it was drawn.

    Sorting once makes the interval of a mAP over 101 classes a matter of seconds instead of a minute.
    """
    times = np.bincount(videos, minlength=rankings.shape[1])
    return np.repeat(rankings.ravel(), times[rankings].ravel()).reshape(rankings.shape)


class Paired(NamedTuple):
    """Two methods on the same videos: who alone got how many right, and how easily chance explains it."""

    only_first: int
    only_second: int
    p_value: float


def compare_paired(first: Bool[np.ndarray, "video"], second: Bool[np.ndarray, "video"]) -> Paired:
    """Exact two-sided McNemar test on the videos that only one of two methods got right.

    If neither were better, each such video would fall to either side like a coin: with n of them and k on the
    smaller side,

        p = min(1, 2 · sum_{i ≤ k} C(n,i) / 2^n)

    Args:
        first: which videos the first method got right.
        second: which videos the second method got right.

    Source: McNemar 1947, in its exact binomial form.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1))  # integers: exact, however many videos
    return Paired(only_first, only_second, min(1.0, 2 * tail / 2**n))
