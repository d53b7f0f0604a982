"""Matching of detections with ground truth by a `Rule`, at all thresholds, without a loop over detections.

Matching happens within a video and a class. All rules are one algorithm: one side chooses in a fixed order, and each
takes its best partner that is still free. Only the side, the order and the preferences differ.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.eval.detection_rules import Rule
from attn.eval.temporal import Pairs, Spans, overlapping_pairs


class Segments(NamedTuple):
    """Segments of the ground truth, or Ambiguous segments, in file order.

    Attributes:
        video: index of the video.
        label: index of the class; unused for Ambiguous segments.
        start_s: start in seconds.
        end_s: end in seconds, not before the start.
    """

    video: Int[np.ndarray, "segment"]
    label: Int[np.ndarray, "segment"]
    start_s: Float[np.ndarray, "segment"]
    end_s: Float[np.ndarray, "segment"]

    def take(self, which: np.ndarray) -> "Segments":
        """Segments of an index array or mask."""
        return Segments(*(column[which] for column in self))


class Detections(NamedTuple):
    """Detections in file order: `Segments` with a score, higher for more confident ones."""

    video: Int[np.ndarray, "detection"]
    label: Int[np.ndarray, "detection"]
    start_s: Float[np.ndarray, "detection"]
    end_s: Float[np.ndarray, "detection"]
    score: Float[np.ndarray, "detection"]

    def take(self, which: np.ndarray) -> "Detections":
        """Detections of an index array or mask."""
        return Detections(*(column[which] for column in self))


def ranked(detections: Detections) -> Detections:
    """Detections by class and, within a class, by score, highest first; equal scores stay in file order."""
    by_score = np.argsort(-detections.score, kind="stable")
    return detections.take(by_score[np.argsort(detections.label[by_score], kind="stable")])


def matched(
    detections: Detections, truth: Segments, tious: Sequence[float], rule: Rule
) -> Bool[np.ndarray, "tiou detection"]:
    """Mask of the detections that are right at each threshold.

    Args:
        detections: detections in the order of `ranked`.
        truth: segments of the ground truth in file order.
        tious: thresholds, above 0.
        rule: rule of the evaluator.
    """
    num_classes = 1 + max(detections.label.max(initial=0), truth.label.max(initial=0))
    spans = (Spans(one.video * num_classes + one.label, one.start_s, one.end_s) for one in (detections, truth))
    pairs = _in_order_of_choice(overlapping_pairs(*spans), min(tious), rule)
    right = np.zeros((len(tious), len(detections.video)), bool)
    for row, threshold in zip(right, tious, strict=True):
        enough = pairs.tiou > threshold if rule.strict else pairs.tiou >= threshold
        detection, segment = pairs.first[enough], pairs.second[enough]
        chosen = _choose(segment, detection) if rule.by_truth else _choose(detection, segment)
        row[detection[chosen]] = True
    return right


def _in_order_of_choice(pairs: Pairs, lowest: float, rule: Rule) -> Pairs:
    """Pairs with at least the lowest threshold, by the one that chooses, then by its preference.

    If tIoUs are equal, a detection prefers the earlier segment of the file, and a segment the detection with the higher
    score.
    """
    enough = pairs.tiou >= lowest
    detection, segment, tiou = (column[enough] for column in pairs)
    preference = np.zeros(len(tiou)) if rule.first else -tiou
    keys = (detection, preference, segment) if rule.by_truth else (segment, preference, detection)
    order = np.lexsort(keys)  # the last key counts most
    return Pairs(detection[order], segment[order], tiou[order])


def _choose(chooser: Int[np.ndarray, "pair"], choice: Int[np.ndarray, "pair"]) -> Int[np.ndarray, "match"]:
    """Pairs of which the chooser gets the choice, if choosers in ascending order take their first free choice.

    All choosers ask at once, for their first choice. A choice goes to the earliest chooser that asks, even if a later
    one held it; those refused ask for their next one. The result is that of one chooser after the other, because all
    choices prefer the earlier chooser (deferred acceptance, Gale and Shapley 1962). It takes as many rounds as
    refusals follow each other, usually a few.

    Args:
        chooser: chooser of each pair, ascending.
        choice: choice of each pair; the pairs of a chooser are in order of preference.
    """
    new = np.append(True, chooser[1:] != chooser[:-1])[: len(chooser)]
    has_next = ~np.append(new[1:], True)[: len(chooser)]
    nothing = len(chooser)
    holder = np.full(choice.max(initial=-1) + 1, nothing)  # pair that has each choice
    asking = np.flatnonzero(new)
    while len(asking):
        at = choice[asking]
        before = holder[at]
        np.minimum.at(holder, at, asking)
        won = holder[at] == asking
        displaced = before[won]
        refused = np.concatenate([asking[~won], displaced[displaced != nothing]])
        asking = refused[has_next[refused]] + 1
    return holder[holder != nothing]


def overlaps_any(detections: Detections, segments: Segments) -> Bool[np.ndarray, "detection"]:
    """Mask of the detections that overlap any of the segments of their video, whatever the class."""
    spans = (Spans(one.video, one.start_s, one.end_s) for one in (detections, segments))
    mask = np.zeros(len(detections.video), bool)
    mask[overlapping_pairs(*spans).first] = True
    return mask
