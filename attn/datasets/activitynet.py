"""ActivityNet's JSON files: ground truth with several subsets, and results of a detector.

    {"database": {"<video>": {"subset": "validation", "duration": 82.7, "annotations":
        [{"label": "Long jump", "segment": [5.1, 11.9]}, …]}, …}, "taxonomy": …, "version": …}
    {"results": {"<video>": [{"label": "Long jump", "score": 0.7, "segment": [5.0, 12.0]}, …], …}, "version": …}

Times may be texts. Other entries are not read. Mirrors name the videos `v_<id>`, the file by the id only.

Source: activitynet/ActivityNet, `Evaluation/`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn.datasets.segments import Detection, GroundTruth, Segment, finite, times
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location


def read_results(url: str) -> list[Detection]:
    """Detections of a file of results, in file order.

    Raises:
        UsageError: the file is missing or has another form, or a number is not finite.
    """
    results = _part(url, "results", "ActivityNet's results")
    return [
        Detection(video_id, label, *span, finite(entry.get("score"), "score", place))
        for video_id, entries in results.items()
        for entry, label, span, place in _entries(entries, f"{shown(url)}: video {video_id}")
    ]


def read_ground_truth(url: str, subset: str | None = None) -> GroundTruth:
    """Annotation of one subset; its classes are those that have segments, sorted.

    Args:
        url: URL of the file, local or remote.
        subset: name of the subset; default: the only one of the file.

    Raises:
        UsageError: the file is missing or has another form, or the subset is not in it.
    """
    where = shown(url)
    database = _part(url, "database", "ActivityNet's ground truth")
    if not all(isinstance(video, dict) for video in database.values()):
        raise UsageError(f"{where}: a video of the database is not an object. Correct the file.")
    subsets = sorted({str(video.get("subset", "")) for video in database.values()})
    if subset is None and len(subsets) > 1:
        raise UsageError(f"{where}: has the subsets {', '.join(subsets)}. Name one with --subset.")
    if subset is not None and subset not in subsets:
        raise UsageError(f"{where}: has no subset {subset!r}, only {', '.join(subsets)}. Name one of them.")
    chosen = {
        name: video for name, video in database.items() if subset is None or str(video.get("subset", "")) == subset
    }
    segments = [
        Segment(video_id, label, *span)
        for video_id, video in chosen.items()
        for _, label, span, _ in _entries(video.get("annotations", []), f"{where}: video {video_id}")
    ]
    if not segments:
        raise UsageError(f"{where}: has no segments. Give an annotation with start and end times.")
    durations_s = {
        name: finite(video["duration"], "duration", f"{where}: video {name}")
        for name, video in chosen.items()
        if "duration" in video
    }
    names = tuple(sorted({one.label for one in segments}))
    return GroundTruth(names, frozenset(chosen), segments, durations_s=durations_s, subset=subset or subsets[0])


def results_json(detections: Sequence[Detection], **about: Any) -> bytes:
    """Content of a file of results.

    Args:
        detections: detections in any order; that of each video's is kept.
        about: further entries, such as `version` and `external_data`, which the official evaluator requires.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for one in detections:
        entry = {"label": one.label, "score": one.score, "segment": [one.start_s, one.end_s]}
        results.setdefault(one.video_id, []).append(entry)
    content = {"version": "VERSION 1.3", "results": results, "external_data": {}, **about}
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def ground_truth_json(*truths: GroundTruth) -> bytes:
    """Content of a file of ground truth; Ambiguous segments have no place in this format.

    Args:
        truths: annotation of each subset, without common videos.
    """
    database: dict[str, dict[str, Any]] = {}
    for truth in truths:
        for video_id in sorted(truth.video_ids):
            known = {"duration": truth.durations_s[video_id]} if video_id in truth.durations_s else {}
            database[video_id] = {"subset": truth.subset, **known, "annotations": []}
        for one in truth.segments:
            entry = {"label": one.label, "segment": [one.start_s, one.end_s]}
            database[one.video_id]["annotations"].append(entry)
    content = {"version": "VERSION 1.3", "taxonomy": [], "database": database}
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def _part(url: str, name: str, form: str) -> Mapping[str, Any]:
    """One object of a JSON file."""
    text = Location.at(url).read_text()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown(url)}: not JSON ({error}). Write the file again.") from error
    part = content.get(name) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise UsageError(f'{shown(url)}: not a file of {form}. Write {{"{name}": {{"<video>": …}}}}.')
    return part


def _entries(entries: Any, where: str) -> Iterator[tuple[dict[str, Any], str, tuple[float, float], str]]:
    """Entries of one video, each with its label, times and place."""
    if not isinstance(entries, list):
        raise UsageError(f"{where}: its entries are not a list. Write [{{…}}, …].")
    for number, entry in enumerate(entries, 1):
        place = f"{where}, entry {number}"
        match entry:
            case {"label": str(label), "segment": [start, end]}:
                yield entry, label, times(start, end, place), place
            case _:
                raise UsageError(f"{place}: lacks a label, or a segment of two times. Complete it.")
