"""Flags of jobs/evaluate_detection.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class EvaluateDetectionOptions:
    detections: tuple[str, ...]
    """Files of detections, local or s3://, each as a path or NAME=path: ActivityNet's results (.json), or lines
    `<video> <start> <end> <class id> <score>` of THUMOS14. Several files are compared with the first one, on the same
    videos."""
    annotations: str
    """Ground truth: ActivityNet's JSON, THUMOS14's folder of <Class>_test.txt, or a table, local or s3://. A CSV or
    Parquet table has the columns video_id, label, start_s and end_s."""
    out: str
    """Output folder for detection.json and detection.md, local or s3://."""
    tiou: tuple[str, ...] = ("0.1:0.1:0.9",)
    """Thresholds of temporal intersection over union, above 0 and at most 1: values, and ranges start:step:stop that
    include the stop."""
    evaluator: tuple[Literal["activitynet", "thumos14", "wtalc"], ...] = ("activitynet", "thumos14", "wtalc")
    """Rules that decide which detections are right. They differ by several points of mAP on the same detections."""
    ap: Literal["noninterpolated", "interpolated", "11point"] | None = None
    """Definition of average precision; default: that of each evaluator."""
    subset: str | None = None
    """Subset of the ground truth, such as validation or test, if the file or folder has several."""
    exclude: tuple[str, ...] = ()
    """Videos to leave out of the ground truth and of the detections."""
    ambiguous: bool = True
    """Apply an evaluator's rule for THUMOS14's Ambiguous segments."""
    meta: str | None = None
    """THUMOS14's test_set_final.mat or validation_set.mat. It has the lengths of the videos, against which segments are
    checked; ActivityNet's JSON has its own."""
    step_s: float | None = None
    """Length of W-TALC's steps in seconds. Times are then rounded to steps, and detections of less than two steps are
    left out (default: times in seconds, any length)."""
    resamples: int = 1000
    """Number of bootstrap draws of videos for the 95 % intervals; 0: no intervals."""
    seed: int = 0
    """Random seed of the draws."""
