import numpy as np
import pytest

from attn.eval.fusion import frame_average, late_fusion, majority_vote, mean_of_streams, softmax


def slow_late_fusion(logits):
    """Spec section 9 with the ties of section 10, row 14, one frame at a time in Python numbers."""
    votes = {}
    for row in logits.tolist():
        votes.setdefault(row.index(max(row)), []).append(row)

    def key(c):
        return (-len(votes[c]), -sum(row[c] for row in votes[c]) / len(votes[c]), c)

    winner = min(votes, key=key)
    rows = votes[winner]
    return winner, [sum(column) / len(rows) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_slow_loops(dtype):
    rng = np.random.default_rng(0)
    for _ in range(200):
        logits = rng.normal(size=(rng.integers(1, 9), rng.integers(1, 6))).astype(dtype)
        winner, fused = slow_late_fusion(logits)
        assert majority_vote(logits).winner == winner
        np.testing.assert_allclose(late_fusion(logits), fused, rtol=1e-12, atol=1e-12)


def test_largest_fused_score_is_the_majority_class_ties_included():
    rng = np.random.default_rng(1)
    for _ in range(2000):
        logits = rng.integers(-2, 3, size=(rng.integers(1, 10), rng.integers(1, 6))).astype(np.float32)
        winner, fused = slow_late_fusion(logits)
        assert late_fusion(logits).argmax() == winner
        np.testing.assert_allclose(late_fusion(logits), fused, rtol=1e-12)


def test_the_majority_wins_over_one_confident_frame():
    logits = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 100.0]])
    assert late_fusion(logits).tolist() == [1.0, 0.0]
    assert frame_average(logits).argmax() == 1


def test_tied_votes_go_to_the_larger_mean_among_own_voters():
    logits = np.array([[5.0, 0.0], [0.0, 6.0]])
    assert majority_vote(logits).winner == 1
    assert majority_vote(logits[:, ::-1]).winner == 0


def test_own_voters_decide_a_tie_not_all_frames():
    # Class 0 is higher on average over all frames, class 1 higher where it was voted for.
    logits = np.array([[5.0, -9.0], [4.0, 6.0]])
    assert majority_vote(logits).winner == 1


def test_full_tie_goes_to_the_lower_index():
    assert majority_vote(np.array([[0.0, 3.0, 1.0], [0.0, 1.0, 3.0]])).winner == 1
    assert majority_vote(np.ones((3, 4))).winner == 0


def test_voters_are_the_frames_of_the_winner():
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    assert majority_vote(logits).voters.tolist() == [True, False, True]


def test_one_frame_is_its_own_fusion():
    logits = np.array([[0.5, -1.0, 2.0]], np.float32)
    assert late_fusion(logits).tolist() == frame_average(logits).tolist() == logits[0].tolist()


def test_half_precision_sums_do_not_overflow():
    logits = np.full((100, 2), 60000, np.float16)
    assert late_fusion(logits).tolist() == frame_average(logits).tolist() == [60000.0, 60000.0]


def test_softmax_is_a_distribution_that_ignores_a_shift():
    logits = np.array([[1000.0, 1001.0], [-3.0, 2.0]], np.float32)
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(probabilities[0, 1], 1 / (1 + np.exp(-1.0)), rtol=1e-15)
    np.testing.assert_allclose(softmax(logits - np.float32(7)), probabilities, rtol=1e-6)


def test_two_networks_are_fused_by_their_mean_probabilities():
    first, second = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.3, 0.7], [0.6, 0.4]])
    assert mean_of_streams(first, second) == pytest.approx(np.array([[0.6, 0.4], [0.4, 0.6]]))
    for wrong in (np.array([[2.0, -1.0], [0.5, 0.5]]), np.array([[0.9, 0.9], [0.5, 0.5]])):
        with pytest.raises(ValueError, match="not probabilities"):
            mean_of_streams(first, wrong)
