"""Estimates pooled over several splits and seeds, with confidence intervals.

A figure in a table is the mean over splits of the mean over seeds. All seeds of a split are tested on the same videos,
so seeds do not increase the sample size: the bootstrap draws a video together with all its seeds.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.classes import single_labels
from attn.eval.metrics import class_rankings, map_of_rankings, true_class_rank
from attn.eval.significance import Interval, Statistic, resample_rankings

Figure = Literal["top_1", "top_3", "hit_1", "map_noninterpolated"]
Unit = Literal["video", "split"]


class Run(NamedTuple):
    """Scores of one method on the test videos of one split, with one seed.

    Attributes:
        scores: score per video and class.
        positives: mask of the classes of each video.
        groups: group index of each video; None if each video is its own group.
    """

    scores: Float[np.ndarray, "video cls"]
    positives: Bool[np.ndarray, "video cls"]
    groups: Int[np.ndarray, "video"] | None = None

    @property
    def has_one_class(self) -> bool:
        """Whether each video has exactly one class, so that accuracies are defined."""
        return single_labels(self.positives) is not None

    @property
    def labels(self) -> Int[np.ndarray, "video"]:
        """Class ids.

        Raises:
            ValueError: a video has no class or several, so accuracies are not defined.
        """
        labels = single_labels(self.positives)
        if labels is None:
            raise ValueError("an accuracy needs videos of one class each")
        return labels


class Estimate(NamedTuple):
    """A figure with its confidence interval.

    Attributes:
        value: mean over the splits.
        interval: 95 % percentile bootstrap interval.
        videos: number of test videos of all splits.
    """

    value: float
    interval: Interval
    videos: int


class VideoMean:
    """Figure that is a mean over videos, such as an accuracy; fast to compute on many draws.

    Args:
        values: value of each video.
    """

    def __init__(self, values: Float[np.ndarray, "video"]):
        self.values = values

    def __call__(self, videos: Int[np.ndarray, "video"]) -> float:
        return float(self.values[videos].mean())


def statistic(runs: Sequence[Run], figure: Figure) -> Statistic:
    """Function that computes a figure on selected test videos of one split, as the mean over its seeds.

    Args:
        runs: one run per seed, all on the same videos.
        figure: figure to compute.
    """
    if figure == "map_noninterpolated":
        of_runs = list(map(_mean_ap, runs))
        return lambda videos: float(np.mean([one(videos) for one in of_runs]))
    if figure == "hit_1":
        return _hit(runs)
    k = {"top_1": 1, "top_3": 3}[figure]
    return VideoMean(np.mean([true_class_rank(run.scores, run.labels) < k for run in runs], axis=0))


def pooled(
    splits: Sequence[Statistic],
    sizes: Sequence[int],
    *,
    unit: Unit = "video",
    groups: Sequence[Int[np.ndarray, "_"]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean over the splits, with a bootstrap interval.

    Args:
        splits: for each split, a function from indices of its videos to the figure.
        sizes: number of test videos of each split.
        unit: unit of resampling. `video`: test videos within each split, for a few large splits. `split`: whole splits,
            for many small ones, as in leave-one-out.
        groups: for each split, group indices of its test videos, from 0 without gaps. With the unit `video`, whole
            groups are drawn, because the predictions for videos of one recording are correlated. Default: each video is
            its own group.
        resamples: number of bootstrap draws.
        seed: random seed.
    """
    values = np.array([one(np.arange(size)) for one, size in zip(splits, sizes, strict=True)])
    rng = np.random.default_rng(seed)
    if unit == "split":
        draws = values[rng.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    else:
        counts = sizes if groups is None else [int(of_videos.max(initial=-1)) + 1 for of_videos in groups]
        drawn = [[rng.integers(count, size=count) for count in counts] for _ in range(resamples)]
        of_splits = [
            _on_draws(one, np.stack(chosen), None if groups is None else groups[i])
            for i, (one, chosen) in enumerate(zip(splits, zip(*drawn, strict=True), strict=True))
        ]
        draws = np.mean(of_splits, axis=0)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(values.mean()), Interval(float(low), float(high)), int(sum(sizes)))


def _on_draws(
    one: Statistic, drawn: Int[np.ndarray, "draw member"], groups: Int[np.ndarray, "video"] | None
) -> Float[np.ndarray, "draw"]:
    """Figure of one split on each draw of its videos or groups."""
    if isinstance(one, VideoMean):
        if groups is None:
            return one.values[drawn].mean(axis=1)
        totals, counts = np.bincount(groups, one.values), np.bincount(groups)
        return totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    if groups is None:
        return np.array([one(videos) for videos in drawn])
    members = [np.flatnonzero(groups == group) for group in range(groups.max(initial=-1) + 1)]
    return np.array([one(np.concatenate([members[group] for group in of_draw])) for of_draw in drawn])


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Difference of two figures on the same videos, first minus second."""
    if isinstance(first, VideoMean) and isinstance(second, VideoMean):
        return VideoMean(first.values - second.values)
    return lambda videos: first(videos) - second(videos)


def _hit(runs: Sequence[Run]) -> Statistic:
    """Share of the videos with a class whose highest score is that of one of their classes."""
    labelled = runs[0].positives.sum(axis=1) > 0
    best = [run.scores.argmax(axis=1) for run in runs]
    hits = np.mean([run.positives[np.arange(len(one)), one] for run, one in zip(runs, best, strict=True)], axis=0)
    return lambda videos: float(hits[videos].sum() / max(labelled[videos].sum(), 1))


def _mean_ap(run: Run) -> Statistic:
    rankings = class_rankings(run.scores)
    return lambda videos: map_of_rankings(resample_rankings(rankings, videos), run.positives).value
