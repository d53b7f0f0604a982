"""tIoU by hand, and pairs and suppression against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.eval.temporal import Spans, non_maximum_suppression, overlapping_pairs, temporal_iou


def slow_tiou(first, second):
    """Section 4 of the specification."""
    inter = max(0, min(first[1], second[1]) - max(first[0], second[0]))
    union = (first[1] - first[0]) + (second[1] - second[0]) - inter
    return inter / union if inter else 0.0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (10, 20), 0),
        ((0, 10), (30, 40), 0),
        ((2.5, 7), (2.5, 7), 1),
        ((0, 10), (2, 4), 0.2),
        ((5, 5), (0, 10), 0),
        ((5, 5), (5, 5), 0),
    ],
)
def test_tiou_by_hand(first, second, expected):
    found = temporal_iou(np.array(first, float), np.array(second, float))
    assert found == pytest.approx(expected)
    assert temporal_iou(np.array(second, float), np.array(first, float)) == found


def test_tiou_of_all_pairs():
    first, second = np.array([[0, 10], [0, 4]], float), np.array([[5, 15], [0, 10], [2, 4]], float)
    expected = [[1 / 3, 1, 0.2], [0, 0.4, 0.5]]
    np.testing.assert_allclose(temporal_iou(first[:, None], second), expected)


# Whole seconds, so that segments touch, contain each other and are equal; a few are long.
rows = st.lists(st.tuples(st.integers(0, 2), st.integers(-20, 20), st.sampled_from([0, 1, 2, 3, 30])), max_size=25)


def spans(found):
    columns = [np.array(column, float) for column in zip(*found, strict=True)] if found else [np.zeros(0)] * 3
    return Spans(columns[0].astype(int), columns[1] / 3, (columns[1] + columns[2]) / 3)


def segments(of):
    return list(zip(of.group.tolist(), of.start_s.tolist(), of.end_s.tolist(), strict=True))


@given(rows, rows)
def test_pairs_are_those_of_a_loop(first, second):
    first, second = spans(first), spans(second)
    expected = {
        (i, j): slow_tiou(one[1:], other[1:])
        for i, one in enumerate(segments(first))
        for j, other in enumerate(segments(second))
        if one[0] == other[0] and slow_tiou(one[1:], other[1:]) > 0
    }
    found = overlapping_pairs(first, second)
    assert dict(zip(zip(found.first, found.second, strict=True), found.tiou, strict=True)) == pytest.approx(expected)
    assert len(found.first) == len(expected)
    assert (np.diff(found.first) >= 0).all()


def test_pairs_far_from_zero_are_found():
    group, start = np.array([0, 10**6, 10**6]), np.array([0.0, 1e9, 1e9 + 1])
    one = Spans(group, start, start + 0.5)
    found = overlapping_pairs(one, one)
    assert found.first.tolist() == found.second.tolist() == [0, 1, 2]


def test_long_segments_of_the_group_before_are_no_partners():
    one = Spans(np.array([10**6, 10**6 + 1]), np.zeros(2), np.array([1e9, 1.0]))
    found = overlapping_pairs(one, one)
    assert found.first.tolist() == found.second.tolist() == [0, 1]


def slow_nms(of, scores, threshold):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        group, *span = segments(of)[i]
        others = [segments(of)[j] for j in kept]
        if all(other[0] != group or slow_tiou(span, other[1:]) <= threshold for other in others):
            kept.append(i)
    return sorted(kept)


@given(rows, st.sampled_from([0.0, 0.25, 0.5, 0.9]), st.integers(0, 5))
def test_suppression_is_that_of_a_loop(found, threshold, seed):
    of = spans(found)
    scores = np.random.default_rng(seed).integers(4, size=len(found)).astype(float)  # with ties
    kept = non_maximum_suppression(of, scores, tiou=threshold)
    assert np.flatnonzero(kept).tolist() == slow_nms(of, scores, threshold)


def test_a_suppressed_segment_suppresses_none():
    of = Spans(np.zeros(3, int), np.array([0.0, 4.0, 8.0]), np.array([10.0, 14.0, 18.0]))
    assert non_maximum_suppression(of, np.array([3.0, 2.0, 1.0]), tiou=0.3).tolist() == [True, False, True]
