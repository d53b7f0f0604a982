import json

import numpy as np
import pytest

from attn.eval.metrics import AP_KINDS, mean_average_precision, per_class_accuracy, top_k_accuracy
from attn.eval.summary import compare, summarise

NAMES = ("Wave", "Kick", "Hug", "Empty")


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return (np.arange(40) % 3).astype(np.int16)


def test_figures_are_those_of_the_metrics(scores: np.ndarray, labels: np.ndarray) -> None:
    found = summarise(scores, labels, class_names=NAMES, resamples=50)
    assert found["videos"] == 40
    assert found["top_1"]["value"] == top_k_accuracy(scores, labels)
    assert found["top_3"]["value"] == top_k_accuracy(scores, labels, k=3)
    assert found["per_class_mean"]["value"] == pytest.approx(np.nanmean(per_class_accuracy(scores, labels)))
    assert found["per_class_mean"]["classes"] == 3
    for kind in AP_KINDS:
        value, num_classes = mean_average_precision(scores, labels, kind=kind)
        assert (found[f"map_{kind}"]["value"], found[f"map_{kind}"]["classes"]) == (value, num_classes)


def test_every_figure_has_its_definition(scores: np.ndarray, labels: np.ndarray) -> None:
    found = summarise(scores, labels, class_names=NAMES, resamples=10)
    figures = [figure for figure in found.values() if isinstance(figure, dict) and "value" in figure]
    assert len(figures) == 6
    assert len({figure["definition"] for figure in figures}) == 6


def test_intervals_hold_their_figures_and_repeat(scores: np.ndarray, labels: np.ndarray) -> None:
    found, again = (summarise(scores, labels, class_names=NAMES, resamples=200) for _ in range(2))
    assert found == again
    for name in ("top_1", "map_noninterpolated"):
        low, high = found[name]["interval"]
        assert low < found[name]["value"] < high


def test_a_class_without_videos_is_null_in_strict_json(scores: np.ndarray, labels: np.ndarray) -> None:
    found = summarise(scores, labels, class_names=NAMES, resamples=10)
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
