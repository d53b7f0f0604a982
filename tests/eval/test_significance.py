import math

import numpy as np
import pytest
from scipy.stats import binomtest

from attn.eval.metrics import class_rankings, map_of_rankings, mean_average_precision
from attn.eval.significance import (
    bootstrap_draws,
    bootstrap_interval,
    compare_paired,
    percentile_interval,
    resample_rankings,
)


def test_interval_of_an_accuracy_has_the_binomial_width():
    correct = np.arange(400) % 4 != 0
    low, high = bootstrap_interval(lambda rows: float(correct[rows].mean()), 400, resamples=2000)
    expected = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert low < 0.75 < high
    assert (high - low) / 2 == pytest.approx(expected, rel=0.1)


def test_interval_depends_on_the_seed_alone():
    values = np.random.default_rng(0).normal(size=30)

    def interval(seed):
        return bootstrap_interval(lambda rows: float(values[rows].mean()), 30, resamples=50, seed=seed)

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


def test_a_certain_figure_has_no_width():
    assert bootstrap_interval(lambda rows: 1.0, 5, resamples=10) == (1.0, 1.0)


def test_less_confidence_is_a_narrower_interval():
    values = np.random.default_rng(1).normal(size=50)

    def width(confidence):
        low, high = bootstrap_interval(lambda rows: float(values[rows].mean()), 50, confidence=confidence)
        return high - low

    assert width(0.5) < 0.6 * width(0.95)


def test_resampled_rankings_are_those_of_the_resampled_scores():
    rng = np.random.default_rng(2)
    scores, positives = (
        rng.integers(6, size=(40, 3)).astype(float),
        np.eye(3, dtype=bool)[rng.integers(3, size=40)],
    )  # with ties
    rankings = class_rankings(scores)
    for _ in range(20):
        drawn = rng.integers(40, size=40)
        found = map_of_rankings(resample_rankings(rankings, drawn), positives)
        in_order = np.sort(drawn)
        assert found == mean_average_precision(scores[in_order], positives[in_order])


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 21), (900, 700)])
def test_exact_test_is_the_two_sided_binomial(only_first, only_second):
    first = np.array([True] * only_first + [False] * only_second + [True, False])
    second = np.array([False] * only_first + [True] * only_second + [True, False])
    found = compare_paired(first, second)
    n = only_first + only_second
    assert found[:2] == (only_first, only_second)
    assert found.p_value == pytest.approx(binomtest(only_first, n).pvalue if n else 1.0)


def test_order_of_the_methods_does_not_change_the_p_value():
    first, second = np.arange(50) % 2 == 0, np.arange(50) % 3 == 0
    assert compare_paired(first, second).p_value == compare_paired(second, first).p_value < 1


def test_draws_of_several_figures_are_those_of_each():
    values = np.random.default_rng(3).normal(size=(40, 2))
    draws = bootstrap_draws(lambda rows: values[rows].mean(axis=0), 40, resamples=60, seed=4)
    assert draws.shape == (60, 2)
    for i in range(2):
        alone = bootstrap_interval(lambda rows, i=i: float(values[rows, i].mean()), 40, resamples=60, seed=4)
        assert percentile_interval(draws[:, i]) == pytest.approx(alone)
