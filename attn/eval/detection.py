"""Mean average precision of temporal detections over tIoU thresholds, by any of the published rules.

Rules differ by up to six points of mAP on equal detections, so every result names its rule and its definition of
average precision.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.eval.detection_matching import Detections, Segments, matched, overlaps_any, ranked
from attn.eval.detection_rules import RULES, Evaluator
from attn.eval.metrics import ApKind, ap_of_hit_ranks
from attn.eval.temporal import ranges

Timed = TypeVar("Timed", Detections, Segments)

SHORTEST_STEPS = 2
"""Shortest detection in steps that W-TALC counts."""


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Detections that are right or ignored at each threshold; input of average precision and its bootstrap.

    Detections are by class, then by score, highest first.

    Attributes:
        num_classes: number of classes.
        num_tious: number of thresholds.
        truth_video: video of each segment of the ground truth.
        truth_label: class of each segment of the ground truth.
        video: video of each detection that was not removed.
        label: class of each of these detections.
        right: threshold and detection of each right detection, ascending.
        ignored: threshold and detection of each ignored detection, ascending.
        removed: number of detections that the rule removed before matching.
    """

    num_classes: int
    num_tious: int
    truth_video: Int[np.ndarray, "segment"]
    truth_label: Int[np.ndarray, "segment"]
    video: Int[np.ndarray, "detection"]
    label: Int[np.ndarray, "detection"]
    right: tuple[Int[np.ndarray, "hit"], Int[np.ndarray, "hit"]]
    ignored: tuple[Int[np.ndarray, "miss"], Int[np.ndarray, "miss"]]
    removed: int

    def average_precisions(
        self, kind: ApKind, videos: Int[np.ndarray, "drawn"] | None = None
    ) -> Float[np.ndarray, "tiou cls"]:
        """Average precision of each class at each threshold; NaN for a class without ground truth.

        Args:
            kind: definition, as in `attn.eval.metrics.average_precision`.
            videos: indices of the videos of a bootstrap draw; a video drawn twice counts as two videos. Default: each
                video once.
        """
        most = 1 + max(self.video.max(initial=0), self.truth_video.max(initial=0))
        times = np.ones(most, int) if videos is None else np.bincount(videos, minlength=most)
        npos = np.bincount(self.truth_label, times[self.truth_video], self.num_classes).astype(int)
        (tiou, place), weight = self.right, times[self.video]
        row = np.repeat(tiou * self.num_classes + self.label[place], weight[place])
        rank = ranges(self._better(weight) + 1, weight[place])
        present = npos > 0
        ap = ap_of_hit_ranks(row, rank, np.tile(np.where(present, npos, 1), self.num_tious), kind)
        return np.where(present, ap.reshape(self.num_tious, self.num_classes), np.nan)

    def _better(self, weight: Int[np.ndarray, "detection"]) -> Int[np.ndarray, "hit"]:
        """Number of detections that count and rank before each right one in its class."""
        tiou, place = self.right
        counted = weight[None]
        if len(self.ignored[0]):
            counted = np.tile(weight, (self.num_tious, 1))
            counted[self.ignored] = 0
        row = tiou if len(counted) > 1 else np.zeros_like(tiou)
        before = np.cumsum(counted, axis=1) - counted
        first = np.searchsorted(self.label, np.arange(self.num_classes))[self.label[place]]
        return before[row, place] - before[row, first]

    def mean_average_precisions(
        self, kind: ApKind, videos: Int[np.ndarray, "drawn"] | None = None
    ) -> Float[np.ndarray, "tiou"]:
        """Mean over the classes that have ground truth, at each threshold; arguments as in `average_precisions`."""
        ap = self.average_precisions(kind, videos)
        return ap[:, ~np.isnan(ap[0])].mean(axis=1)


def match(
    detections: Detections,
    truth: Segments,
    *,
    evaluator: Evaluator,
    tious: Sequence[float],
    num_classes: int,
    ambiguous: Segments | None = None,
    step_s: float | None = None,
) -> Matches:
    """Match detections with the ground truth.

    The time is that of sorting the detections; 100,000 of them take a fraction of a second.

    Args:
        detections: detections in file order, scores finite. Ties of score are broken by this order.
        truth: segments of the ground truth in file order.
        evaluator: name of the rule.
        tious: thresholds, above 0 and at most 1.
        num_classes: number of classes.
        ambiguous: segments that the annotators were not sure of; rules that do not know them leave them unused.
        step_s: length in seconds of W-TALC's steps. Its published code rounds all times to steps and leaves out
            detections of less than two. Default: times in seconds, of any length.
    """
    rule, given = RULES[evaluator], len(detections.video)
    if step_s is not None:
        detections, truth = _in_steps(detections, step_s), _in_steps(truth, step_s)
        ambiguous = None if ambiguous is None else _in_steps(ambiguous, step_s)
        detections = detections.take(detections.end_s - detections.start_s >= SHORTEST_STEPS)
    if rule.only_annotated:
        detections = detections.take(np.isin(detections.video, truth.video))
    detections = ranked(detections)
    unsure = np.zeros(len(detections.video), bool)
    if ambiguous is not None and rule.ambiguous != "unused":
        unsure = overlaps_any(detections, ambiguous)
    if rule.ambiguous == "removed":
        detections, unsure = detections.take(~unsure), np.zeros((~unsure).sum(), bool)
    right = matched(detections, truth, tious, rule)
    return Matches(
        num_classes=num_classes,
        num_tious=len(tious),
        truth_video=truth.video,
        truth_label=truth.label,
        video=detections.video,
        label=detections.label,
        right=_places(right),
        ignored=_places(unsure & ~right),
        removed=given - len(detections.video),
    )


def _places(mask: Bool[np.ndarray, "tiou detection"]) -> tuple[Int[np.ndarray, "place"], Int[np.ndarray, "place"]]:
    """Threshold and detection of each True, ascending."""
    tiou, detection = np.nonzero(mask)
    return tiou, detection


def _in_steps(timed: Timed, step_s: float) -> Timed:
    return timed._replace(start_s=np.rint(timed.start_s / step_s), end_s=np.rint(timed.end_s / step_s))
