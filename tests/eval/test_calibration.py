import json

import numpy as np
import pytest

from attn.errors import UsageError
from attn.eval.calibration import Calibration


def test_each_class_is_measured_against_its_own_mean_and_spread():
    scores = np.random.default_rng(0).normal(size=(40, 3)) * [1, 5, 0.1] + [0, 100, -3]
    found = Calibration.fit(scores).apply(scores[:7])
    for video, cls in np.ndindex(7, 3):
        own = [row[cls] for row in scores]
        mean = sum(own) / 40
        std = (sum((one - mean) ** 2 for one in own) / 40) ** 0.5
        assert found[video, cls] == pytest.approx((scores[video, cls] - mean) / std)


def test_scale_and_offset_of_a_class_make_no_difference():
    rng = np.random.default_rng(1)
    known, tested = rng.normal(size=(30, 4)), rng.normal(size=(9, 4))
    scale, offset = np.array([3, 0.01, 1, 40]), np.array([5, -2, 0, 1000])
    plain, moved = (Calibration.fit(known * a + b).apply(tested * a + b) for a, b in ((1, 0), (scale, offset)))
    np.testing.assert_allclose(moved, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_class_that_scores_all_videos_alike_is_only_moved(value):
    scores = np.random.default_rng(2).normal(size=(1001, 2))
    scores[:, 1] = value * (1 + 1e-8 * scores[:, 0])  # as the rounding of sums leaves it
    calibration = Calibration.fit(scores)
    assert calibration.std[1] == 1
    assert calibration.apply(np.array([[0, value + 2]]))[0, 1] == pytest.approx(2, abs=1e-6 * max(value, 1))


def test_fewer_videos_than_classes_are_refused():
    with pytest.raises(UsageError, match=r"^calibration: 2 videos for 3 classes\. Give more videos"):
        Calibration.fit(np.zeros((2, 3)))
    assert Calibration.fit(np.eye(3)).videos == 3


def test_a_record_survives_a_file():
    calibration = Calibration.fit(np.random.default_rng(3).normal(size=(20, 5)))
    again = Calibration.from_record(json.loads(json.dumps(calibration.as_record())))
    np.testing.assert_array_equal(again.mean, calibration.mean)
    np.testing.assert_array_equal(again.std, calibration.std)
    assert again.videos == 20


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"std": [1.0, 0.0]}, "finite and above 0"),
        ({"mean": [0.0, float("nan")]}, "means must be finite"),
        ({"std": [1.0]}, r"shape \(2,\), but standard deviations \(1,\)"),
        ({"mean": 1.0}, "means"),
        ({"mean": ["a", "b"]}, "not a calibration"),
        ({"videos": None}, "not a calibration"),
    ],
)
def test_a_record_that_is_not_a_calibration_is_refused(change, why):
    with pytest.raises(ValueError, match=why):
        Calibration.from_record({"mean": [0.0, 0.0], "std": [1.0, 1.0], "videos": 9, **change})


def test_of_unbalanced_videos_the_rare_class_wins_too_often():
    """The price, not a defect: what is usual for a class is what the videos show."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), 400)
    scores = rng.normal(size=(1200, 3)) + 2 * np.eye(3)[labels] + [3, 0, -3]

    def wins(calibrating: np.ndarray) -> np.ndarray:
        return np.bincount(Calibration.fit(scores[calibrating]).apply(scores).argmax(axis=1), minlength=3) / 400

    balanced, no_first = wins(labels >= 0), wins(labels > 0)
    np.testing.assert_allclose(balanced, 1, atol=0.05)
    assert no_first[0] > 1.2
