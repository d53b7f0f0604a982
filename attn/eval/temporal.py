"""Segments of videos in time: intersection over union, overlapping pairs, non-maximum suppression.

A group is whatever may be compared with itself: a video, or a video and a class. All functions take the segments of
many groups at once, so that no loop over groups is needed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Spans(NamedTuple):
    """Segments of several groups.

    Attributes:
        group: group of each segment, 0 or larger.
        start_s: start in seconds.
        end_s: end in seconds, not before the start.
    """

    group: Int[np.ndarray, "segment"]
    start_s: Float[np.ndarray, "segment"]
    end_s: Float[np.ndarray, "segment"]


class Pairs(NamedTuple):
    """Pairs of overlapping segments.

    Attributes:
        first: index into the first segments, ascending.
        second: index into the second segments.
        tiou: temporal intersection over union, above 0.
    """

    first: Int[np.ndarray, "pair"]
    second: Int[np.ndarray, "pair"]
    tiou: Float[np.ndarray, "pair"]


def temporal_iou(
    first: Float[np.ndarray, "*#batch 2"], second: Float[np.ndarray, "*#batch 2"]
) -> Float[np.ndarray, "*batch"]:
    """Temporal intersection over union of segments [start, end]; 0 if they do not overlap.

        inter = max(0, min(e1, e2) − max(s1, s2))        tIoU = inter / ((e1 − s1) + (e2 − s2) − inter)

    Two segments of length zero have a tIoU of 0.

    Example:
        >>> temporal_iou(np.array([[0.0, 4.0]]), np.array([[2.0, 6.0], [4.0, 6.0]]))
        array([0.33333333, 0.        ])
    """
    return _tiou(first[..., 0], first[..., 1], second[..., 0], second[..., 1])


def _tiou(s1: np.ndarray, e1: np.ndarray, s2: np.ndarray, e2: np.ndarray) -> np.ndarray:
    inter = np.maximum(np.minimum(e1, e2) - np.maximum(s1, s2), 0)
    union = (e1 - s1) + (e2 - s2) - inter
    return np.divide(inter, union, out=np.zeros(union.shape), where=union > 0)


def overlapping_pairs(first: Spans, second: Spans) -> Pairs:
    """All pairs of segments of the same group that overlap, in order of the first.

    The second are sorted by group and start. Each of the first meets a range of them, found by two binary searches: it
    begins where an end is later than its start for the first time, and stops before the first start after its end. The
    time grows with the number of pairs in these ranges, not with the product of the numbers of segments.
    """
    if not len(first.group) or not len(second.group):
        return Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    order = np.lexsort((second.start_s, second.group))
    low = min(first.start_s.min(), second.start_s.min())
    span = max(first.end_s.max(), second.end_s.max()) - low + 1.0
    # A key is group · span + time. The margin covers its rounding, so that a range is too wide rather than too narrow.
    margin = 8 * np.finfo(float).eps * span * (1 + max(first.group.max(), second.group.max()))
    starts = second.group[order] * span + (second.start_s[order] - low)
    ends = np.maximum.accumulate(second.group[order] * span + (second.end_s[order] - low))
    base = first.group * span - low
    begin = np.searchsorted(ends, base + first.start_s - margin)
    count = np.maximum(np.searchsorted(starts, base + first.end_s + margin) - begin, 0)
    i = np.repeat(np.arange(len(count)), count)
    j = order[ranges(begin, count)]
    tiou = _tiou(first.start_s[i], first.end_s[i], second.start_s[j], second.end_s[j])
    real = (tiou > 0) & (first.group[i] == second.group[j])
    return Pairs(i[real], j[real], tiou[real])


def ranges(begin: Int[np.ndarray, "range"], count: Int[np.ndarray, "range"]) -> Int[np.ndarray, "number"]:
    """Concatenation of the ranges begin, begin + 1, …, begin + count − 1.

    Example:
        >>> ranges(np.array([3, 10]), np.array([2, 3]))
        array([ 3,  4, 10, 11, 12])
    """
    return np.arange(count.sum()) + np.repeat(begin - (np.cumsum(count) - count), count)


def non_maximum_suppression(
    spans: Spans, scores: Float[np.ndarray, "segment"], *, tiou: float
) -> Bool[np.ndarray, "segment"]:
    """Mask of the segments that non-maximum suppression keeps in each group.

    Segments are visited by score, highest first, equal scores in input order. One is kept unless its tIoU with a kept
    segment of its group is larger than `tiou`. Every round decides all segments whose better neighbours are decided.

    Example:
        >>> spans = Spans(np.zeros(3, int), np.array([0.0, 1.0, 8.0]), np.array([4.0, 4.0, 9.0]))
        >>> non_maximum_suppression(spans, np.array([0.5, 0.9, 0.1]), tiou=0.5)
        array([False,  True,  True])
    """
    rank = np.empty(len(scores), int)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    pairs = overlapping_pairs(spans, spans)
    clash = (pairs.tiou > tiou) & (rank[pairs.first] < rank[pairs.second])
    better, worse = pairs.first[clash], pairs.second[clash]
    kept = np.ones(len(scores), bool)
    while len(better):
        waiting = np.zeros(len(scores), bool)
        waiting[worse] = True
        decided = ~waiting[better]
        kept[worse[decided]] = False
        left = ~decided & kept[better] & kept[worse]
        better, worse = better[left], worse[left]
    return kept
