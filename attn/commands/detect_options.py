"""Flags of jobs/detect.py."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectOptions:
    store: tuple[str, ...]
    """Attention stores with the column features of the same videos, local or s3://: one, or two for RGB and flow."""
    model: tuple[str, ...]
    """Trained TSRNets, one for each store in the same order; files or their folders."""
    out: str
    """Output folder for detections.parquet, detections.json (ActivityNet), with THUMOS14's classes
    detections.txt; with --labels scores.parquet and metrics.json. Local or s3://."""
    labels: str | None = None
    """Classes of the videos, without times: THUMOS14's test_set_final.mat, a split list, or a table with a column
    labels. Only in these videos are actions then detected, and recognition is reported too (default: in all)."""
    class_list: str | None = None
    """Class names for the numbers of a .mat file in --labels: UCF101's classInd.txt."""
    theta: float = 0.5
    """θ: weight of the first stream, 0 to 1; the second has 1 - θ."""
    classes: tuple[str, ...] = ()
    """Classes to detect (default: all of the model), such as THUMOS14's 20 of 101."""
    class_threshold: float = 0.1
    """Classes with a fused probability of at most this have no detections in a video."""
    relative_threshold: float = 0.5
    """Samples with a fused attention above this share of the video's largest one are in a detection."""
    smoothing: Literal["none", "next"] = "none"
    """next: average each fused attention weight with the next one before the threshold."""
    score: Literal["peak", "density"] = "peak"
    """Score of a detection. With peak, the class probability times the mean attention relative to its maximum, plus 0.2
    times the class probability. With density, the first term is the mean attention times the number of samples."""
    segments: Literal["fused", "per_stream"] = "fused"
    """Source of the detections. With fused, the fused attention. With per_stream, that of each stream, without the
    weaker of two detections with a tIoU of more than 0.5."""
    num_samples: int | None = None
    """Number of samples of a video (default: that of the training). More of them resolve long videos better."""
    allow_missing: bool = False
    """Detect in the videos that both stores have, even if one lacks some."""
    allow_partial: bool = False
    """Read stores whose precompute has not finished."""
