"""Accuracy and average precision of video scores.

Ties are broken deterministically: between classes by the lower index, between videos by their order. Results depend
only on the ranking: a strictly increasing transform of the scores does not change them.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

ApKind = Literal["noninterpolated", "interpolated", "11point"]
AP_KINDS: tuple[ApKind, ...] = ("noninterpolated", "interpolated", "11point")


class ClassMean(NamedTuple):
    """Mean over the classes that have a value, and the number of these classes."""

    value: float
    num_classes: int


class HitAtK(NamedTuple):
    """Classes of a video among its k highest scores.

    Attributes:
        hit: share of the videos of which at least one class is among them.
        average: mean over the videos of the share of a video's classes that are among them.
        num_videos: number of videos with a class.
    """

    hit: float
    average: float
    num_videos: int


def true_class_rank(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"]
) -> Int[np.ndarray, "video"]:
    """Rank of the true class of each video, from 0; equal scores are ranked by class index.

    Example:
        >>> true_class_rank(np.array([[0.1, 0.7, 0.2]]), np.array([2]))
        array([1])
    """
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    lower_index = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > true) | ((scores == true) & lower_index)).sum(axis=1)


def top_k_accuracy(scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"], *, k: int = 1) -> float:
    """Share of the videos whose true class is among the k highest scores.

    Source: evaluation of UCF101, Li et al. 2017, section 4.5 (k = 1 and 3).

    Example:
        >>> scores, labels = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]), np.array([0, 1])
        >>> top_k_accuracy(scores, labels), top_k_accuracy(scores, labels, k=2)
        (0.5, 1.0)
    """
    return float((true_class_rank(scores, labels) < k).mean())


def hit_at_k(scores: Float[np.ndarray, "video cls"], positives: Bool[np.ndarray, "video cls"], *, k: int = 3) -> HitAtK:
    """Hit@k and average Hit@k of videos with a set of classes; videos without a class are left out.

    Args:
        scores: score per video and class; equal scores are ranked by class index.
        positives: mask of the classes of each video.
        k: number of classes.

    Raises:
        ValueError: all videos are without a class.

    Source: ActivityNet's classification evaluator, k = 3.

    Example:
        >>> scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
        >>> hit_at_k(scores, np.array([[0, 1, 1], [0, 0, 1]], bool), k=1)
        HitAtK(hit=0.5, average=0.5, num_videos=2)
    """
    labelled = positives.any(axis=1)
    if not labelled.any():
        raise ValueError("Hit@k needs a video with a class")
    best = np.argsort(-scores[labelled], axis=1, kind="stable")[:, :k]
    truth = positives[labelled]
    found = np.take_along_axis(truth, best, axis=1).sum(axis=1)
    return HitAtK(float((found > 0).mean()), float((found / truth.sum(axis=1)).mean()), len(truth))


def per_class_accuracy(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"]
) -> Float[np.ndarray, "cls"]:
    """Top-1 accuracy of the videos of each class; NaN for a class without videos.

    Example:
        >>> per_class_accuracy(np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]), np.array([0, 1, 1]))
        array([1. , 0.5])
    """
    correct = true_class_rank(scores, labels) == 0
    num_classes = scores.shape[1]
    videos = np.bincount(labels, minlength=num_classes)
    hits = np.bincount(labels, weights=correct, minlength=num_classes)
    return np.divide(hits, videos, out=np.full(num_classes, np.nan), where=videos > 0)


def confusion_matrix(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"]
) -> Int[np.ndarray, "cls cls"]:
    """Numbers of videos by true class (row) and predicted class (column), the lower index of equal scores.

    Example:
        >>> confusion_matrix(np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]), np.array([0, 1, 1]))
        array([[1, 0],
               [1, 1]])
    """
    num_classes = scores.shape[1]
    cells = labels.astype(np.int64) * num_classes + scores.argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def average_precision(
    scores: Float[np.ndarray, "item"],
    positives: Bool[np.ndarray, "item"],
    *,
    kind: ApKind = "noninterpolated",
    num_positives: int | None = None,
) -> float:
    """Average precision of items ranked by score, highest first; equal scores stay in input order.

    With precision P_i and recall R_i at rank i, and npos positives:

        noninterpolated   (1/npos) · sum of P_i over the positives
        interpolated      the same with max over j ≥ i of P_j in place of P_i (VOC 2011: area under the envelope)
        11point           mean over r in {0, 0.1, …, 1} of max{P_i : R_i ≥ r}, or 0 if the set is empty (VOC 2007)

    Args:
        scores: score of each item.
        positives: mask of the positive items.
        kind: definition, see above.
        num_positives: npos, including positives that were not retrieved; default: positives among the items.

    Raises:
        ValueError: npos is 0, or less than the number of positives among the items.

    Example:
        >>> average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0], bool))  # (1/1 + 2/3) / 2
        0.8333333333333333
    """
    found = int(positives.sum())
    npos = found if num_positives is None else num_positives
    if npos < max(found, 1):
        raise ValueError(f"num_positives={npos} must be at least 1 and at least the {found} positives among the items")
    hits = positives[np.argsort(-scores, kind="stable")]
    return float(_ap_of_hits(hits[None], np.array([npos]), kind)[0])


def class_rankings(scores: Float[np.ndarray, "video cls"]) -> Int[np.ndarray, "cls video"]:
    """Videos ranked by their score for each class, highest first; equal scores stay in input order.

    Example:
        >>> class_rankings(np.array([[0.9, 0.1], [0.2, 0.8]]))
        array([[0, 1],
               [1, 0]])
    """
    return np.argsort(-scores, axis=0, kind="stable").T


def mean_average_precision(
    scores: Float[np.ndarray, "video cls"],
    positives: Bool[np.ndarray, "video cls"],
    *,
    kind: ApKind = "noninterpolated",
) -> ClassMean:
    """Mean over classes of the average precision of all videos ranked by their score for the class.

    A video may have one class, several or none. One without a class, such as a background video, stays in the rankings
    as a negative of all classes. Classes without a positive video are excluded; the result includes their number.

    Args:
        scores: score per video and class.
        positives: mask of the classes of each video.
        kind: definition of average precision, as in `average_precision`.

    Raises:
        ValueError: all videos are without a class.

    Source: evaluation of TVHI, Li et al. 2017, section 4.4; recognition task of THUMOS14, 101 classes,
        non-interpolated; ActivityNet's classification, interpolated. Differs: the paper of 2017 does not specify its
        definition of AP.

    Example:
        >>> scores, positives = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), np.array([[1, 0], [0, 1], [0, 0]], bool)
        >>> mean_average_precision(scores, positives)
        ClassMean(value=0.75, num_classes=2)
    """
    return map_of_rankings(class_rankings(scores), positives, kind=kind)


def map_of_rankings(
    rankings: Int[np.ndarray, "cls rank"],
    positives: Bool[np.ndarray, "video cls"],
    *,
    kind: ApKind = "noninterpolated",
) -> ClassMean:
    """`mean_average_precision` from given rankings; a resampled ranking may contain a video several times."""
    aps = class_average_precision(rankings, positives, kind=kind)
    present = aps[np.isfinite(aps)]
    if not len(present):
        raise ValueError("a mean average precision needs a video with a class")
    return ClassMean(float(present.mean()), len(present))


def class_average_precision(
    rankings: Int[np.ndarray, "cls rank"],
    positives: Bool[np.ndarray, "video cls"],
    *,
    kind: ApKind = "noninterpolated",
) -> Float[np.ndarray, "cls"]:
    """Average precision of each class from `class_rankings`; NaN for a class without a positive video."""
    return _of_classes(np.take_along_axis(positives.T, rankings, axis=1), kind)


def _of_classes(hits: Bool[np.ndarray, "cls rank"], kind: ApKind) -> Float[np.ndarray, "cls"]:
    npos = hits.sum(axis=1)
    aps = np.full(len(hits), np.nan)
    aps[npos > 0] = _ap_of_hits(hits[npos > 0], npos[npos > 0], kind)
    return aps


def _ap_of_hits(
    hits: Bool[np.ndarray, "cls rank"], npos: Int[np.ndarray, "cls"], kind: ApKind
) -> Float[np.ndarray, "cls"]:
    row, place = np.nonzero(hits)
    return ap_of_hit_ranks(row, place + 1, npos, kind)


def ap_of_hit_ranks(
    row: Int[np.ndarray, "hit"], rank: Int[np.ndarray, "hit"], npos: Int[np.ndarray, "row"], kind: ApKind
) -> Float[np.ndarray, "row"]:
    """Average precision of several rankings at once, from the ranks of their positives only.

    Precision is highest at a positive, so no definition of average precision depends on the other ranks.

    Args:
        row: ranking of each positive that was retrieved, ascending.
        rank: its rank in the ranking, from 1, ascending within a ranking.
        npos: number of positives of each ranking, at least 1.
        kind: definition, as in `average_precision`.
    """
    found = np.bincount(row, minlength=len(npos))
    order = np.arange(1, found.max(initial=0) + 1)
    ranks = np.full((len(npos), len(order)), np.inf)
    ranks[row, np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found)] = rank
    precision = order / ranks  # 0 after the last positive
    if kind == "11point":
        # Recall is compared in integer tenths, so that rounding cannot exclude a rank with a recall of exactly r.
        reached = [np.where(10 * order >= r * npos[:, None], precision, 0) for r in range(11)]
        return np.mean([at.max(axis=1, initial=0) for at in reached], axis=0)
    if kind == "interpolated":
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # largest at this rank or later
    return precision.sum(axis=1) / npos
