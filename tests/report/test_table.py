from typing import Any

import numpy as np

from attn.eval.summary import compare, compare_multi_label, map_draws, summarise
from attn.report.table import metrics_table


def test_rows_give_the_figures_in_per_cent() -> None:
    labels = np.arange(20) % 2
    good = np.eye(2)[labels]
    bad = np.eye(2)[np.where(np.arange(20) < 5, 1 - labels, labels)]
    metrics = {
        "methods": {
            name: summarise(scores, np.eye(2, dtype=bool)[labels], class_names=("a", "b"), resamples=50)
            for name, scores in {"cnn": bad, "longer_name": good}.items()
        },
        "paired": {"longer_name - cnn": compare(good, bad, labels, resamples=50)},
    }
    head, first, second, pair = metrics_table(metrics)
    assert len(head) == len(first) == len(second)
    assert first.split()[:2] == ["cnn", "75.0"]
    assert second.split() == ["longer_name", "100.0", "100.0", "100.0", "100.0", "100.0", "to", "100.0", "20"]
    assert pair.startswith("longer_name - cnn: +25.0 (")
    assert "videos right only with the first: 5, only with the second: 0; p = 0.062" in pair


def test_the_table_says_by_which_videos_it_was_calibrated() -> None:
    found = {"methods": {}, "paired": {}}
    calibration = {"store": {"url": "s3://b/store"}, "videos": 9, "tested_videos": 0, "transductive": False}
    *_, others = metrics_table({**found, "calibration": calibration})
    assert others == "calibrated on 9 unlabelled videos of s3://b/store, without test videos"
    *_, own = metrics_table({**found, "calibration": {**calibration, "tested_videos": 4, "transductive": True}})
    assert own.startswith("calibrated on the test videos themselves (4 of the 9 ")


def test_one_method_is_a_table_without_pairs() -> None:
    found = summarise(np.eye(2), np.eye(2, dtype=bool), class_names=("a", "b"), resamples=5)
    assert len(list(metrics_table({"methods": {"unatt": found}, "paired": {}}))) == 2


def test_videos_of_several_classes_or_none_have_their_own_figures() -> None:
    positives = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    good, bad = positives + 0.0, 1.0 - positives
    metrics: dict[str, Any] = {
        "methods": {
            name: summarise(scores, positives, class_names=("a", "b", "c"), resamples=20)
            for name, scores in {"cnn": bad, "unatt": good}.items()
        },
    }
    draws = [map_draws(scores, positives, resamples=20) for scores in (good, bad)]
    figures = metrics["methods"]
    metrics["paired"] = {"unatt - cnn": compare_multi_label(figures["unatt"], figures["cnn"], (draws[0], draws[1]))}
    head, first, second, background, pair = metrics_table(metrics)
    assert "mAP, 95 %" in head
    assert len(head) == len(first) == len(second)
    assert first.split()[:5] == ["cnn", "33.3", "33.3", "0.0", "100.0"]
    assert second.split()[:5] == ["unatt", "100.0", "100.0", "100.0", "100.0"]
    assert background.endswith("left out of Hit@k: 1")
    assert pair.startswith("unatt - cnn: +66.7 (")
    assert pair.endswith(") mAP")
