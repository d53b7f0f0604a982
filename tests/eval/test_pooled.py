"""Means over splits and seeds, and their intervals, against slow loops."""

import itertools

import numpy as np
import pytest

from attn.eval.metrics import hit_at_k, mean_average_precision, top_k_accuracy
from attn.eval.pooled import Run, difference, pooled, statistic


def runs(seed: int, videos: int, seeds: int = 1, classes: int = 4) -> list[Run]:
    random = np.random.default_rng(seed)
    positives = np.eye(classes, dtype=bool)[random.permutation(np.arange(videos) % classes)]
    return [Run(random.normal(size=(videos, classes)) + positives, positives) for _ in range(seeds)]


@pytest.mark.parametrize(("figure", "k"), [("top_1", 1), ("top_3", 3)])
def test_an_accuracy_is_the_mean_over_splits_of_the_mean_over_seeds(figure, k):
    splits = [runs(0, 30, 2), runs(1, 90, 2)]
    estimate = pooled([statistic(split, figure) for split in splits], [30, 90])
    by_hand = np.mean([np.mean([top_k_accuracy(run.scores, run.labels, k=k) for run in split]) for split in splits])
    assert estimate.value == pytest.approx(by_hand)
    assert estimate.videos == 120


def test_a_mean_average_precision_is_that_of_each_split():
    splits = [runs(2, 40), runs(3, 50)]
    estimate = pooled([statistic(split, "map_noninterpolated") for split in splits], [40, 50], resamples=10)
    assert estimate.value == pytest.approx(np.mean([mean_average_precision(*split[0][:2]).value for split in splits]))


def test_videos_are_drawn_within_their_split():
    """With all videos of one split right and none of the other, no draw can say anything but one half."""
    first = np.tile([True, False], (20, 1))
    right, wrong = np.tile([1.0, 0.0], (20, 1)), np.tile([0.0, 1.0], (20, 1))
    splits = [statistic([Run(scores, first)], "top_1") for scores in (right, wrong)]
    assert pooled(splits, [20, 20]).interval == (0.5, 0.5)
    assert pooled(splits, [20, 20], unit="split").interval == (0.0, 1.0)


def test_the_interval_of_splits_is_that_of_all_their_draws():
    values = [0.0, 0.5, 1.0]
    estimate = pooled([lambda _, value=value: value for value in values], [6, 6, 6], unit="split", resamples=20_000)
    means = [np.mean(draw) for draw in itertools.product(values, repeat=3)]
    exact = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    assert tuple(estimate.interval) == pytest.approx(tuple(exact))


def test_groups_are_drawn_whole():
    """Ten groups of five videos, each right or wrong as a whole, are as uncertain as ten videos."""
    right = np.arange(10) % 2 == 0
    scores = lambda good: np.stack([good, ~good], axis=1).astype(float)  # noqa: E731
    videos = Run(scores(right), np.tile([True, False], (10, 1)))
    clips = Run(scores(np.repeat(right, 5)), np.tile([True, False], (50, 1)))
    groups = np.repeat(np.arange(10), 5)
    alone = pooled([statistic([videos], "top_1")], [10])
    assert pooled([statistic([clips], "top_1")], [50], groups=[groups]).interval == alone.interval
    low, high = pooled([statistic([clips], "top_1")], [50]).interval
    assert high - low < 0.6 * (alone.interval.high - alone.interval.low)


def test_more_seeds_do_not_make_more_videos():
    one = runs(4, 50)
    often = one * 5
    first, second = (pooled([statistic(found, "top_1")], [50]) for found in (one, often))
    assert tuple(first.interval) == pytest.approx(tuple(second.interval))


def test_a_difference_is_drawn_on_the_same_videos():
    """Two methods that fail on the same videos differ by nothing, whatever is drawn."""
    split = runs(5, 60)
    same = difference(statistic(split, "top_1"), statistic([Run(split[0].scores * 2, split[0].positives)], "top_1"))
    estimate = pooled([same], [60])
    assert (estimate.value, *estimate.interval) == (0, 0, 0)


def test_videos_of_several_classes_have_a_ranking_but_no_accuracy():
    rng = np.random.default_rng(6)
    several = Run(rng.normal(size=(30, 3)), rng.random((30, 3)) < 0.4)
    estimate = pooled([statistic([several], "map_noninterpolated")], [30], resamples=10)
    assert estimate.value == mean_average_precision(several.scores, several.positives).value
    with pytest.raises(ValueError, match="one class each"):
        statistic([several], "top_1")


def test_hit_1_leaves_out_videos_without_a_class_and_is_the_accuracy_of_others():
    rng = np.random.default_rng(7)
    positives = rng.random((40, 3)) < 0.4
    several = [Run(rng.normal(size=(40, 3)) + positives, positives) for _ in range(2)]
    assert not several[0].has_one_class
    assert not positives.any(1).all()
    estimate = pooled([statistic(several, "hit_1")], [40], resamples=200)
    expected = np.mean([hit_at_k(run.scores, positives, k=1).hit for run in several])
    assert estimate.value == pytest.approx(expected)
    assert estimate.interval.low < expected < estimate.interval.high
    single = runs(8, 40)
    assert single[0].has_one_class
    hit, accuracy = (pooled([statistic(single, figure)], [40]) for figure in ("hit_1", "top_1"))
    assert tuple(hit.interval) == pytest.approx(tuple(accuracy.interval))
    assert hit.value == accuracy.value
