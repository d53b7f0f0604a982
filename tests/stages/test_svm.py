import logging

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from attn.errors import UsageError
from attn.schema import FEATURES
from attn.stages import svm
from attn.stages.scoring import SvmVote
from attn.stages.svm import fit_svm, fit_svm_on_store
from attn.storage.store import AttentionStore


def clouds(classes: list[int], frames: int = 40, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre per class, with much overlap, so that C matters."""
    rng = np.random.default_rng(0)
    labels = np.repeat(classes, frames)
    centres = rng.normal(size=(max(classes) + 1, dim))
    return (centres[labels] + 1.5 * rng.normal(size=(len(labels), dim))).astype(np.float32), labels


def decisions(features: np.ndarray, labels: np.ndarray, c: float = 1.0) -> np.ndarray:
    return (
        LinearSVC(C=c, dual="auto", max_iter=100_000, tol=1e-4, random_state=0)
        .fit(features, labels)
        .decision_function(features)
    )


def test_three_classes_are_decided_as_by_scikit_learn():
    features, labels = clouds([0, 1, 2])
    np.testing.assert_allclose(
        fit_svm(features, labels, num_classes=3)(features), decisions(features, labels), atol=1e-6
    )


def test_two_classes_are_decided_as_by_scikit_learn():
    features, labels = clouds([0, 1])
    expected = decisions(features, labels)
    scores = fit_svm(features, labels, num_classes=2)(features)
    np.testing.assert_allclose(scores, np.stack([-expected, expected], axis=1), atol=1e-6)
    assert (scores.argmax(1) == (expected > 0)).all()


@pytest.mark.parametrize("present", [[1, 3], [0, 2, 4], [1, 2, 3]])
def test_a_class_without_training_videos_never_wins(present):
    features, labels = clouds(present)
    scores = fit_svm(features, labels, num_classes=5)(features)
    absent = sorted(set(range(5)) - set(present))
    assert (scores[:, absent] == -np.inf).all()
    assert set(scores.argmax(1)) == set(present)
    expected = decisions(features, labels)
    expected = expected if expected.ndim == 2 else np.stack([-expected, expected], axis=1)
    np.testing.assert_allclose(scores[:, present], expected, atol=1e-6)
    far = fit_svm(features, labels, num_classes=5)(-1e6 * features)
    assert not np.isnan(far).any()


def test_c_is_the_papers_unless_said_otherwise():
    features, labels = clouds([0, 1, 2])
    paper = fit_svm(features, labels, num_classes=3)(features)
    np.testing.assert_array_equal(paper, fit_svm(features, labels, num_classes=3, c=1.0)(features))
    for c in (0.001, 0.01):
        scores = fit_svm(features, labels, num_classes=3, c=c)(features)
        np.testing.assert_allclose(scores, decisions(features, labels, c), atol=1e-6)
        assert np.abs(scores - paper).max() > 0.05


def test_fitting_again_gives_the_same():
    features, labels = clouds([0, 1, 2])
    first, again = (fit_svm(features, labels, num_classes=3) for _ in range(2))
    np.testing.assert_array_equal(first.weights, again.weights)


def test_half_precision_features_are_decided_in_float64():
    features, labels = clouds([0, 1, 2])
    halves = (features * 1000).astype(np.float16)
    machine = fit_svm(halves.astype(np.float32), labels, num_classes=3)
    assert machine(halves).dtype == np.float64
    np.testing.assert_array_equal(machine(halves), machine(halves.astype(np.float64)))


def test_what_is_not_solved_is_used_and_said(monkeypatch, caplog):
    features, labels = clouds([0, 1, 2])
    monkeypatch.setattr(svm, "MOST_ITERATIONS", 1)
    with caplog.at_level(logging.WARNING):
        machine = fit_svm(features * 1000, labels, num_classes=3)
    assert (
        "liblinear has not converged after 1 iterations, so scores are approximate. Try a smaller --svm-c, such as 0.1"
        in caplog.text
    )
    assert np.isfinite(machine.weights).all()


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_learns_from_the_frames_of_the_given_videos_alone(make_store, c):
    rng = np.random.default_rng(0)
    videos = {f"v{i}": 3 + i % 4 for i in range(9)}
    features = {video: rng.normal(size=(count, 4)).astype(np.float16) for video, count in videos.items()}
    store = AttentionStore.open(make_store(videos, features=features))
    labels = {"v7": 0, "v1": 2, "v4": 0, "v2": 2, "v5": 1}  # neither in the order of the store nor all of it
    machine = fit_svm_on_store(store, labels, num_classes=3, c=c)
    wanted = [video for video in videos if video in labels]
    frames = np.concatenate([features[video] for video in wanted]).astype(np.float32)
    of_frames = np.repeat([labels[v] for v in wanted], [videos[v] for v in wanted])
    expected = fit_svm(frames, of_frames, num_classes=3, c=c)
    np.testing.assert_allclose(machine.weights, expected.weights, atol=1e-9)
    rows = next(store.videos([FEATURES]))
    np.testing.assert_allclose(machine(rows.tensors[FEATURES]), expected(features["v0"]), atol=1e-9)
    assert SvmVote(machine)(rows).shape == (3,)


def test_features_that_are_not_finite_are_named(make_store):
    features = np.ones((3, 4), np.float16)
    features[1, 2] = np.nan
    store = AttentionStore.open(make_store({"a": 3, "b": 3}, features={"a": features}))
    with pytest.raises(UsageError, match="features of a, frame 5, contain NaN"):
        fit_svm_on_store(store, {"a": 0, "b": 1}, num_classes=3)
