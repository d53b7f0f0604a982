"""Accuracy and average precision of video scores.

Every definition breaks ties the same way on every machine: between classes by the lower index, between videos by
their order. Results therefore depend on nothing but the ranking: a strictly increasing transform of the scores
changes none of them.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

ApKind = Literal["noninterpolated", "interpolated", "11point"]
AP_KINDS: tuple[ApKind, ...] = ("noninterpolated", "interpolated", "11point")


class ClassMean(NamedTuple):
    """A mean over the classes that can have a value, and how many they are."""

    value: float
    num_classes: int


def true_class_rank(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"]
) -> Int[np.ndarray, "video"]:
    """Place of the true class among the classes of each video, from 0; equal scores rank by class index."""
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    lower_index = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > true) | ((scores == true) & lower_index)).sum(axis=1)


def top_k_accuracy(scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"], *, k: int = 1) -> float:
    """Share of the videos whose true class is among the k highest scores.

    Source: evaluation of UCF101, Li et al. 2017, section 4.5 (k = 1 and 3).
    """
    return float((true_class_rank(scores, labels) < k).mean())


def per_class_accuracy(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"]
) -> Float[np.ndarray, "cls"]:
    """Top-1 accuracy of the videos of each class; NaN for a class without videos."""
    correct = true_class_rank(scores, labels) == 0
    num_classes = scores.shape[1]
    videos = np.bincount(labels, minlength=num_classes)
    hits = np.bincount(labels, weights=correct, minlength=num_classes)
    return np.divide(hits, videos, out=np.full(num_classes, np.nan), where=videos > 0)


def average_precision(
    scores: Float[np.ndarray, "item"],
    positives: Bool[np.ndarray, "item"],
    *,
    kind: ApKind = "noninterpolated",
    num_positives: int | None = None,
) -> float:
    """How early the positives come when the items are ranked by score, highest first; equal scores keep their order.

    With precision P_i and recall R_i at rank i, and npos positives:

        noninterpolated   (1/npos) · sum of P_i over the positives
        interpolated      the same with max over j ≥ i of P_j in place of P_i (VOC 2011: area under the envelope)
        11point           mean over r in {0, 0.1, …, 1} of max{P_i : R_i ≥ r}, 0 where there is none (VOC 2007)

    Args:
        num_positives: npos, counting positives that were never retrieved (default: those among the items).

    Raises:
        ValueError: there is no positive, or fewer are claimed than are there.
    """
    found = int(positives.sum())
    npos = found if num_positives is None else num_positives
    if npos < max(found, 1):
        raise ValueError(f"average precision of {found} positives with num_positives={npos}: needs one, and all found")
    hits = positives[np.argsort(-scores, kind="stable")]
    return float(_ap_of_hits(hits[None], np.array([npos]), kind)[0])


def class_rankings(scores: Float[np.ndarray, "video cls"]) -> Int[np.ndarray, "cls video"]:
    """The videos in the order of their score for each class, highest first; equal scores keep the videos' order."""
    return np.argsort(-scores, axis=0, kind="stable").T


def mean_average_precision(
    scores: Float[np.ndarray, "video cls"], labels: Int[np.ndarray, "video"], *, kind: ApKind = "noninterpolated"
) -> ClassMean:
    """Mean over the classes of the AP of ranking all videos by their score for the class.

    Classes without a video have no AP and are left out; how many were counted is part of the result.

    Source: evaluation of TVHI, Li et al. 2017, section 4.4. Differs: the paper does not say which AP it means.
    """
    return map_of_rankings(class_rankings(scores), labels, kind=kind)


def map_of_rankings(
    rankings: Int[np.ndarray, "cls rank"], labels: Int[np.ndarray, "video"], *, kind: ApKind = "noninterpolated"
) -> ClassMean:
    """`mean_average_precision` of rankings that are there already; a resampled ranking may name a video repeatedly."""
    hits = labels[rankings] == np.arange(len(rankings))[:, None]
    npos = hits.sum(axis=1)
    present = npos > 0
    aps = _ap_of_hits(hits[present], npos[present], kind)
    return ClassMean(float(aps.mean()), len(aps))


def _ap_of_hits(
    hits: Bool[np.ndarray, "cls rank"], npos: Int[np.ndarray, "cls"], kind: ApKind
) -> Float[np.ndarray, "cls"]:
    num_hits = np.cumsum(hits, axis=1)
    precision = num_hits / np.arange(1, hits.shape[1] + 1)
    if kind == "11point":
        # Recall in tenths as integers, so that no rounding can lose a rank that reaches r exactly.
        reached = [np.where(10 * num_hits >= r * npos[:, None], precision, 0) for r in range(11)]
        return np.mean([at.max(axis=1, initial=0) for at in reached], axis=0)
    if kind == "interpolated":
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # largest at this rank or later
    return np.where(hits, precision, 0).sum(axis=1) / npos
