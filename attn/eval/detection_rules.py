"""The three published rules that decide which detections are right, each one line of a table.

                        activitynet         thumos14                    wtalc
    driven by           detections          ground truth                detections
    takes               largest tIoU        largest tIoU                first in the list
    needs               tIoU ≥ threshold    tIoU > threshold            tIoU ≥ threshold
    Ambiguous           -                   ignored if unmatched        removed beforehand
    video without truth its detections are  its detections are          its detections are
                        wrong               wrong                       left out
    average precision   interpolated        noninterpolated             noninterpolated

Source: activitynet/ActivityNet `eval_detection.py`; the THUMOS14 kit `TH14evalDet.m`; sujoyp/wtalc-pytorch
`detectionMAP.py`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from attn.eval.metrics import ApKind


@dataclasses.dataclass(frozen=True)
class Rule:
    """How an evaluator matches detections and ground truth.

    Attributes:
        by_truth: whether segments of the ground truth choose, in file order; otherwise detections do, by score.
        first: whether the first segment of the list is taken rather than the one with the largest tIoU.
        strict: whether a match needs a tIoU above the threshold rather than at least the threshold.
        ambiguous: use of Ambiguous segments. `ignored`: an unmatched detection that overlaps one does not count.
            `removed`: every detection that overlaps one is removed before matching.
        only_annotated: whether detections of videos without ground truth are left out; otherwise they are wrong.
        ap: the evaluator's own definition of average precision.
        text: description for tables.
    """

    by_truth: bool
    first: bool
    strict: bool
    ambiguous: Literal["unused", "ignored", "removed"]
    only_annotated: bool
    ap: ApKind
    text: str


Evaluator = Literal["activitynet", "thumos14", "wtalc"]
RULES: Mapping[Evaluator, Rule] = {
    "activitynet": Rule(
        by_truth=False,
        first=False,
        strict=False,
        ambiguous="unused",
        only_annotated=False,
        ap="interpolated",
        text="by score, each detection takes the free segment with the largest tIoU, at least the threshold",
    ),
    "thumos14": Rule(
        by_truth=True,
        first=False,
        strict=True,
        ambiguous="ignored",
        only_annotated=False,
        ap="noninterpolated",
        text="in file order, each segment takes the free detection with the largest tIoU, above the threshold",
    ),
    "wtalc": Rule(
        by_truth=False,
        first=True,
        strict=False,
        ambiguous="removed",
        only_annotated=True,
        ap="noninterpolated",
        text="by score, each detection takes the first free segment with at least the threshold",
    ),
}
