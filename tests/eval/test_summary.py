import json

import numpy as np
import pytest

from attn.eval.metrics import (
    AP_KINDS,
    average_precision,
    hit_at_k,
    mean_average_precision,
    per_class_accuracy,
    top_k_accuracy,
)
from attn.eval.summary import compare, compare_multi_label, map_draws, summarise

NAMES = ("Wave", "Kick", "Hug", "Empty")


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(40) % 3


@pytest.fixture
def positives(labels: np.ndarray) -> np.ndarray:
    return np.eye(4, dtype=bool)[labels]


def test_figures_are_those_of_the_metrics(scores: np.ndarray, labels: np.ndarray, positives: np.ndarray) -> None:
    found = summarise(scores, positives, class_names=NAMES, resamples=50)
    assert found["videos"] == 40
    assert found["top_1"]["value"] == top_k_accuracy(scores, labels)
    assert found["top_3"]["value"] == top_k_accuracy(scores, labels, k=3)
    assert found["per_class_mean"]["value"] == pytest.approx(np.nanmean(per_class_accuracy(scores, labels)))
    assert found["per_class_mean"]["classes"] == 3
    for kind in AP_KINDS:
        value, num_classes = mean_average_precision(scores, positives, kind=kind)
        assert (found[f"map_{kind}"]["value"], found[f"map_{kind}"]["classes"]) == (value, num_classes)


def test_every_figure_has_its_definition(scores: np.ndarray, positives: np.ndarray) -> None:
    found = summarise(scores, positives, class_names=NAMES, resamples=10)
    figures = [figure for figure in found.values() if isinstance(figure, dict) and "value" in figure]
    assert len(figures) == 6
    assert len({figure["definition"] for figure in figures}) == 6


def test_intervals_hold_their_figures_and_repeat(scores: np.ndarray, positives: np.ndarray) -> None:
    found, again = (summarise(scores, positives, class_names=NAMES, resamples=200) for _ in range(2))
    assert found == again
    for name in ("top_1", "map_noninterpolated"):
        low, high = found[name]["interval"]
        assert low < found[name]["value"] < high


def test_a_class_without_videos_is_null_in_strict_json(scores: np.ndarray, positives: np.ndarray) -> None:
    found = summarise(scores, positives, class_names=NAMES, resamples=10)
    read = json.loads(json.dumps(found, allow_nan=False))
    assert list(read["per_class"]) == list(NAMES)
    assert read["per_class"]["Empty"] is None


def test_the_better_method_is_seen_on_the_same_videos() -> None:
    labels = np.zeros(20, np.int16)
    good, bad = np.tile([1.0, 0.0], (20, 1)), np.tile([1.0, 0.0], (20, 1))
    good[0], bad[:10] = [0.0, 1.0], [0.0, 1.0]
    found = compare(good, bad, labels, resamples=200)
    assert found["top_1_difference"]["value"] == pytest.approx(0.45)
    low, high = found["top_1_difference"]["interval"]
    assert 0 < low < 0.45 < high
    assert (found["only_first_right"], found["only_second_right"]) == (9, 0)
    assert found["p_value"] == pytest.approx(2 / 2**9)
    assert compare(bad, good, labels, resamples=10)["top_1_difference"]["value"] == pytest.approx(-0.45)


@pytest.fixture
def several() -> np.ndarray:
    """Classes of 40 videos: none, one or two; the last class has no video."""
    return np.random.default_rng(1).random((40, 4)) < [0.3, 0.3, 0.3, 0]


def test_figures_of_videos_of_several_classes_or_none(scores: np.ndarray, several: np.ndarray) -> None:
    found = summarise(scores, several, class_names=NAMES, resamples=200)
    assert not found.keys() & {"top_1", "top_3", "per_class_mean"}
    background = int((~several.any(axis=1)).sum())
    assert (found["videos"], found["background_videos"]) == (40, background)
    assert 0 < background < 40
    for k in (1, 3):
        assert found[f"hit_{k}"]["value"] == hit_at_k(scores, several, k=k).hit
    assert found["average_hit_3"]["value"] == hit_at_k(scores, several, k=3).average
    for kind in AP_KINDS:
        value, num_classes = mean_average_precision(scores, several, kind=kind)
        assert (found[f"map_{kind}"]["value"], found[f"map_{kind}"]["classes"]) == (value, num_classes)
    assert found["per_class"]["Empty"] is None
    assert found["per_class"]["Kick"] == pytest.approx(average_precision(scores[:, 1], several[:, 1]))
    for name in ("hit_1", "map_noninterpolated"):
        low, high = found[name]["interval"]
        assert low < found[name]["value"] < high


def test_draws_without_a_class_do_not_count() -> None:
    """One labelled video of two: a quarter of the draws has only the background video; the others rank it first."""
    scores, positives = np.array([[2.0], [1.0]]), np.array([[True], [False]])
    found = summarise(scores, positives, class_names=("Wave",), resamples=100)
    assert found["map_noninterpolated"]["interval"] == (1, 1)
    assert found["hit_1"]["interval"] == (1, 1)


def test_the_better_ranking_is_seen_on_the_same_videos(several: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    good, bad = (several * gain + rng.normal(size=several.shape) for gain in (3, 0.5))
    figures = [summarise(one, several, class_names=NAMES, resamples=100) for one in (good, bad)]
    first, second = (map_draws(one, several, resamples=100) for one in (good, bad))
    found = compare_multi_label(*figures, (first, second))["map_difference"]
    means = [mean_average_precision(one, several).value for one in (good, bad)]
    assert found["value"] == pytest.approx(means[0] - means[1])
    low, high = found["interval"]
    assert 0 < low < found["value"] < high
