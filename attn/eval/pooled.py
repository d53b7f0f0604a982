"""Estimates pooled over several splits and seeds, with confidence intervals.

A figure in a table is the mean over splits of the mean over seeds. All seeds of a split are tested on the same videos,
so seeds do not increase the sample size: the bootstrap draws a video together with all its seeds.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.classes import single_labels
from attn.eval.metrics import class_rankings, map_of_rankings, true_class_rank
from attn.eval.significance import Interval, Statistic, resample_rankings

Figure = Literal["top_1", "top_3", "map_noninterpolated"]
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


def statistic(runs: Sequence[Run], figure: Figure) -> Statistic:
    """Function that computes a figure on selected test videos of one split, as the mean over its seeds.

    Args:
        runs: one run per seed, all on the same videos.
        figure: figure to compute.
    """
    makers: dict[Figure, Callable[[Run], Statistic]] = {
        "top_1": lambda run: _accuracy(run, 1),
        "top_3": lambda run: _accuracy(run, 3),
        "map_noninterpolated": _mean_ap,
    }
    of_runs = [makers[figure](run) for run in runs]
    return lambda videos: float(np.mean([one(videos) for one in of_runs]))


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
    whole = [np.arange(size) for size in sizes]
    values = np.array([one(videos) for one, videos in zip(splits, whole, strict=True)])
    rng = np.random.default_rng(seed)
    if unit == "split":
        draws = values[rng.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    else:
        members = [_members(of_videos) for of_videos in groups or whole]
        draws = np.array(
            [
                np.mean([one(_drawn(of_split, rng)) for one, of_split in zip(splits, members, strict=True)])
                for _ in range(resamples)
            ]
        )
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(values.mean()), Interval(float(low), float(high)), int(sum(sizes)))


def _members(groups: Int[np.ndarray, "video"]) -> list[Int[np.ndarray, "member"]]:
    """Videos of each group."""
    return [np.flatnonzero(groups == group) for group in range(groups.max(initial=-1) + 1)]


def _drawn(members: Sequence[Int[np.ndarray, "member"]], rng: np.random.Generator) -> Int[np.ndarray, "drawn"]:
    """Videos of a bootstrap draw of groups."""
    return np.concatenate([members[group] for group in rng.integers(len(members), size=len(members))])


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Difference of two figures on the same videos, first minus second."""
    return lambda videos: first(videos) - second(videos)


def _accuracy(run: Run, k: int) -> Statistic:
    right = true_class_rank(run.scores, run.labels) < k
    return lambda videos: float(right[videos].mean())


def _mean_ap(run: Run) -> Statistic:
    rankings = class_rankings(run.scores)
    return lambda videos: map_of_rankings(resample_rankings(rankings, videos), run.positives).value
