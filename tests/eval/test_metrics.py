import numpy as np
import pytest
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from attn.eval.metrics import (
    AP_KINDS,
    average_precision,
    class_average_precision,
    class_rankings,
    hit_at_k,
    map_of_rankings,
    mean_average_precision,
    per_class_accuracy,
    top_k_accuracy,
    true_class_rank,
)


def slow_ap(labels, npos, kind):
    """The definitions of the specification, written out: `labels` in ranked order."""
    precision, recall = [], []
    for i in range(len(labels)):
        hits = sum(labels[: i + 1])
        precision.append(hits / (i + 1))
        recall.append(hits / npos)
    if kind == "noninterpolated":
        return sum(p for p, label in zip(precision, labels, strict=True) if label) / npos
    if kind == "11point":
        points = ([p for p, r in zip(precision, recall, strict=True) if r >= t / 10 - 1e-12] for t in range(11))
        return sum(max(above, default=0) for above in points) / 11
    mprec, mrec = [0, *precision, 0], [0, *recall, 1]
    for i in reversed(range(len(mprec) - 1)):
        mprec[i] = max(mprec[i], mprec[i + 1])
    return sum((mrec[i] - mrec[i - 1]) * mprec[i] for i in range(1, len(mrec)) if mrec[i] != mrec[i - 1])


def ranked(labels):
    """Scores that put the labels into the order in which they are written."""
    return np.linspace(1, 0, len(labels)), np.array(labels, bool)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 1, 0, 1], {"noninterpolated": 0.58889, "interpolated": 0.64444, "11point": 0.64242}),
        ([1, 0, 1, 0, 0, 1], {"noninterpolated": 0.72222, "interpolated": 0.72222, "11point": 0.72727}),
    ],
)
@pytest.mark.parametrize("kind", AP_KINDS)
def test_average_precision_by_hand(labels, expected, kind):
    scores, positives = ranked(labels)
    assert average_precision(scores, positives, kind=kind) == pytest.approx(expected[kind], abs=5e-6)


@pytest.mark.parametrize("kind", AP_KINDS)
def test_average_precision_equals_the_slow_loops(kind):
    rng = np.random.default_rng(0)
    for _ in range(300):
        positives = rng.random(rng.integers(1, 40)) < 0.4
        scores = rng.permutation(len(positives)).astype(float)
        npos = max(1, int(positives.sum()) + int(rng.integers(3)))
        in_order = [int(p) for _, p in sorted(zip(-scores, positives, strict=True))]
        expected = slow_ap(in_order, npos, kind)
        assert average_precision(scores, positives, kind=kind, num_positives=npos) == pytest.approx(expected, abs=1e-12)


def test_noninterpolated_agrees_with_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(50):
        scores, positives = rng.normal(size=30), np.arange(30) % 3 == 0
        assert average_precision(scores, positives) == pytest.approx(average_precision_score(positives, scores))


@pytest.mark.parametrize("kind", AP_KINDS)
def test_perfect_is_one_and_nothing_retrieved_is_zero(kind):
    assert average_precision(*ranked([1, 1, 0, 0]), kind=kind) == 1
    assert average_precision(*ranked([0, 0]), kind=kind, num_positives=2) == 0
    assert average_precision(np.zeros(0), np.zeros(0, bool), kind=kind, num_positives=1) == 0


@pytest.mark.parametrize("kind", AP_KINDS)
def test_positives_never_retrieved_lower_it(kind):
    scores, positives = ranked([1, 1])
    assert average_precision(scores, positives, kind=kind, num_positives=4) == pytest.approx(
        6 / 11 if kind == "11point" else 0.5
    )


def test_equal_scores_keep_their_order():
    scores = np.zeros(4)
    assert average_precision(scores, np.array([True, False, False, False])) == 1
    assert average_precision(scores, np.array([False, False, False, True])) == 0.25


@pytest.mark.parametrize("claimed", [0, 1])
def test_fewer_positives_claimed_than_found_is_an_error(claimed):
    with pytest.raises(ValueError, match=f"num_positives={claimed}"):
        average_precision(*ranked([1, 1]), num_positives=claimed)


def test_no_positive_at_all_is_an_error():
    with pytest.raises(ValueError, match="0 positives"):
        average_precision(*ranked([0, 0]))


def test_rank_of_the_true_class_breaks_ties_by_index():
    scores = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [0.0, 2.0, 2.0], [3.0, 1.0, 2.0]])
    assert true_class_rank(scores, np.array([1, 1, 2, 1])).tolist() == [1, 0, 1, 2]


def test_top_k_by_hand():
    scores, labels = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), np.arange(4) % 3
    assert [top_k_accuracy(scores, labels, k=k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 1.0]


def test_top_k_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=(60, 7)), rng.integers(7, size=60)
    for k in (1, 3):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(7))
        assert top_k_accuracy(scores, labels, k=k) == pytest.approx(expected)


def test_a_class_without_videos_has_no_accuracy():
    scores = np.array([[1.0, 0.0, 0.0]] * 4)
    labels = np.array([0, 0, 0, 1])
    np.testing.assert_array_equal(per_class_accuracy(scores, labels), [1, 0, np.nan])
    assert top_k_accuracy(scores, labels) == 0.75


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_only_the_ranking_counts(dtype):
    rng = np.random.default_rng(4)
    scores = rng.integers(-8, 8, size=(40, 6)).astype(dtype)  # with ties
    labels = rng.integers(6, size=40)
    positives = np.eye(6, dtype=bool)[labels]
    stretched = np.exp(scores.astype(np.float64) / 2) * 3 - 100
    assert top_k_accuracy(scores, labels, k=3) == top_k_accuracy(stretched, labels, k=3)
    for kind in AP_KINDS:
        before, after = (mean_average_precision(one, positives, kind=kind) for one in (scores, stretched))
        assert before == after


def test_mean_average_precision_by_hand():
    """Two videos with two classes and one, and a background video that outranks one of them."""
    scores = np.array([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0], [2.0, 2.0, 9.0]])
    positives = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    # class 0 ranks 1, 0, 1 → (1 + 2/3)/2; class 1 ranks 0, 0, 1 → 1/3; class 2 has no positive video
    assert mean_average_precision(scores, positives) == (pytest.approx((5 / 6 + 1 / 3) / 2), 2)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("kind", AP_KINDS)
def test_mean_average_precision_is_the_mean_over_the_classes_present(kind, single):
    rng = np.random.default_rng(3)
    scores, positives = rng.normal(size=(25, 5)), np.eye(5, dtype=bool)[rng.integers(4, size=25)]
    if not single:
        positives = rng.random((25, 5)) < [0.3, 0.3, 0.3, 0.3, 0]
    aps = [average_precision(scores[:, c], positives[:, c], kind=kind) for c in range(4)]
    assert mean_average_precision(scores, positives, kind=kind) == (pytest.approx(np.mean(aps)), 4)
    rankings = class_rankings(scores)
    assert map_of_rankings(rankings, positives, kind=kind).value == pytest.approx(np.mean(aps))
    np.testing.assert_allclose(class_average_precision(rankings, positives, kind=kind), [*aps, np.nan])


def test_background_videos_are_negatives_of_all_classes():
    rng = np.random.default_rng(6)
    scores, positives = rng.normal(size=(20, 3)), np.eye(3, dtype=bool)[rng.integers(3, size=20)]
    with_background = mean_average_precision(
        np.concatenate([scores, np.full((50, 3), 9.0)]), np.concatenate([positives, np.zeros((50, 3), bool)])
    )
    assert with_background.value < 0.5 * mean_average_precision(scores, positives).value
    assert with_background.num_classes == 3


def test_hit_at_k_by_hand():
    """Labels {0, 1}, {2}, none, {3}; the two best of each video are classes 0 and 2, 2 and 0, …, 0 and 1."""
    scores = np.array([[4, 1, 3, 2], [2, 1, 3, 0], [9, 9, 9, 9], [1, 1, 1, 1]], float)
    positives = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]], bool)
    assert hit_at_k(scores, positives, k=2) == (pytest.approx(2 / 3), pytest.approx(1.5 / 3), 3)
    assert hit_at_k(scores, positives, k=4) == (1, 1, 3)


def test_hit_at_k_of_single_labels_is_top_k():
    rng = np.random.default_rng(7)
    scores, labels = rng.integers(-3, 3, size=(50, 6)).astype(float), rng.integers(6, size=50)  # with ties
    expected = top_k_accuracy(scores, labels, k=3)
    assert hit_at_k(scores, np.eye(6, dtype=bool)[labels]) == (expected, pytest.approx(expected), 50)


@pytest.mark.parametrize("figure", [hit_at_k, mean_average_precision])
def test_labels_are_needed(figure):
    with pytest.raises(ValueError, match="a video with a class"):
        figure(np.zeros((2, 3)), np.zeros((2, 3), bool))
