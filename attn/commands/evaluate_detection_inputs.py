"""Inputs of an evaluation of detections: names of videos and classes become indices."""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from attn.classes import class_ids
from attn.commands.evaluate_detection_files import (
    annotation_warnings,
    id_finder,
    named_urls,
    read_detections,
    read_truth,
)
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.datasets.segments import Detection, GroundTruth, Segment
from attn.datasets.thumos14 import AMBIGUOUS
from attn.errors import UsageError, some
from attn.eval.detection_matching import Detections, Segments
from attn.storage.error_messages import shown

MOST_TIOUS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """Detections and ground truth as arrays.

    Attributes:
        class_names: classes by index.
        num_annotated: number of videos with ground truth, which have the first indices.
        num_videos: number of videos with ground truth or detections.
        truth: segments of the ground truth.
        ambiguous: Ambiguous segments of these videos.
        detections: detections by name of the file.
        about: record of the ground truth, for the tables.
        files: record of each file of detections by name.
        warnings: facts that a reader of the results must know, one line each.
    """

    class_names: tuple[str, ...]
    num_annotated: int
    num_videos: int
    truth: Segments
    ambiguous: Segments
    detections: Mapping[str, Detections]
    about: dict[str, Any]
    files: dict[str, dict[str, Any]]
    warnings: list[str]


def parse_tious(words: Sequence[str]) -> list[float]:
    """Thresholds from values and ranges start:step:stop, ascending; computed in decimals, so that 0.3 is 0.3.

    Raises:
        UsageError: a word is not a number or a range, or a threshold is not above 0 and at most 1.
    """
    found: set[Decimal] = set()
    for word in words:
        try:
            start, *rest = (Decimal(part) for part in word.split(":"))
            step, stop = rest or (Decimal(1), start)
            if not (0 < start <= stop <= 1 and step > 0 and (stop - start) / step < MOST_TIOUS):
                raise ValueError(word)
        except (ValueError, InvalidOperation) as error:
            raise UsageError(
                f"--tiou {word}: not thresholds above 0 and at most 1. Give values such as 0.5, or ranges "
                "start:step:stop such as 0.1:0.1:0.9."
            ) from error
        found |= {start + step * i for i in range(int((stop - start) / step) + 1)}
    if not found:
        raise UsageError("--tiou: empty. Give values such as 0.5, or ranges such as 0.1:0.1:0.9.")
    return sorted(map(float, found))


def read_inputs(options: EvaluateDetectionOptions) -> Inputs:
    """Read and check all files.

    Raises:
        UsageError: a file is missing or has another form, a label is unknown, a segment is not in its video, an
            excluded video is unknown, or no detection of a file is in an annotated video.
    """
    urls = named_urls(options.detections)
    truth = read_truth(options.annotations, subset=options.subset, meta=options.meta)
    meant = id_finder(truth.video_ids)
    found = {name: read_detections(url, truth, meant) for name, url in urls.items()}
    excluded = {meant(name) for name in options.exclude}
    if unknown := sorted(excluded - truth.video_ids):
        raise UsageError(f"--exclude {some(unknown)}: not annotated in {shown(options.annotations)}. Correct the name.")
    return _arrays(options, urls, _without(truth, excluded), found, excluded)


def _without(truth: GroundTruth, excluded: set[str]) -> GroundTruth:
    """Ground truth of the other videos; the classes stay, so that labels of left out videos are not unknown."""
    segments, ambiguous = (
        [one for one in some_of if one.video_id not in excluded] for some_of in (truth.segments, truth.ambiguous)
    )
    if not segments:
        raise UsageError("--exclude: leaves no video with a segment. Name fewer videos.")
    return dataclasses.replace(truth, video_ids=truth.video_ids - excluded, segments=segments, ambiguous=ambiguous)


def _arrays(
    options: EvaluateDetectionOptions,
    urls: Mapping[str, str],
    truth: GroundTruth,
    found: Mapping[str, list[Detection]],
    excluded: set[str],
) -> Inputs:
    annotated = sorted({one.video_id for one in truth.segments})
    kept = {name: [one for one in rows if one.video_id not in excluded] for name, rows in found.items()}
    others = sorted({one.video_id for rows in kept.values() for one in rows} - {*annotated})
    videos = {name: i for i, name in enumerate(annotated + others)}
    indices = videos, class_ids(truth.class_names) | {AMBIGUOUS: 0}
    unsure = [one for one in truth.ambiguous if options.ambiguous and one.video_id in videos]
    files = {
        name: _file_record(urls[name], rows, len(found[name]) - len(rows), annotated) for name, rows in kept.items()
    }
    return Inputs(
        class_names=truth.class_names,
        num_annotated=len(annotated),
        num_videos=len(videos),
        truth=Segments(*_columns(truth.segments, *indices)),
        ambiguous=Segments(*_columns(unsure, *indices)),
        detections={
            name: Detections(*_columns(rows, *indices), np.array([one.score for one in rows], np.float64))
            for name, rows in kept.items()
        },
        about={
            "file": posixpath.basename(options.annotations.rstrip("/")),
            "subset": truth.subset,
            "classes": len(truth.class_names),
            "videos": len(annotated),
            "segments": len(truth.segments),
            "ambiguous": len(truth.ambiguous),
            "excluded": sorted(excluded),
            "without_segments": sorted(truth.video_ids - {*annotated}),
        },
        files=files,
        warnings=_warnings(truth, files),
    )


def _columns(
    rows: Sequence[Segment] | Sequence[Detection], videos: Mapping[str, int], classes: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Video, class, start and end of each row."""
    return (
        np.array([videos[one.video_id] for one in rows], np.int64),
        np.array([classes[one.label] for one in rows], np.int64),
        np.array([one.start_s for one in rows], np.float64),
        np.array([one.end_s for one in rows], np.float64),
    )


def _file_record(url: str, rows: list[Detection], excluded: int, annotated: Sequence[str]) -> dict[str, Any]:
    """Record of a file of detections.

    Raises:
        UsageError: none of its detections is in an annotated video.
    """
    videos = {one.video_id for one in rows}
    others = videos - {*annotated}
    if videos == others:
        raise UsageError(
            f"{shown(url)}: no detection is in one of the {len(annotated)} annotated videos, but in "
            f"{some(sorted(others)) or 'excluded ones'}. Give detections of the annotated videos."
        )
    return {
        "file": posixpath.basename(url),
        "detections": len(rows),
        "excluded": excluded,
        "in_videos_without_segments": sum(one.video_id in others for one in rows),
        "videos_without_segments": sorted(others),
        "videos_without_detections": sorted({*annotated} - videos),
    }


def _warnings(truth: GroundTruth, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Facts that a reader of the results must know, one line each."""
    warnings = list(annotation_warnings(truth))
    if empty := sorted({*truth.class_names} - {one.label for one in truth.segments}):
        warnings.append(f"classes without a segment, left out of the mean: {', '.join(empty)}")
    for name, record in files.items():
        if others := record["videos_without_segments"]:
            warnings.append(
                f"{name}: detections in videos without ground truth: {record['in_videos_without_segments']} in "
                f"{some(others)}; activitynet and thumos14 count them as wrong, wtalc leaves them out"
            )
        if missing := record["videos_without_detections"]:
            warnings.append(f"{name}: annotated videos without detections: {len(missing)} ({some(missing)})")
    return warnings
