"""Files of an evaluation of detections, read and checked: the ground truth, and detections of one or more methods."""

import math
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence

from attn.datasets import activitynet, annotation_table, thumos14
from attn.datasets.segments import Detection, GroundTruth, beyond_end, check_labels
from attn.datasets.thumos14_meta import read_facts
from attn.errors import UsageError
from attn.storage.error_messages import shown

LONGEST_OVERHANG_S = 1.0
"""Time by which a detection may end after its video: headers and decoded frames differ a little in length."""

_NAMED = re.compile(r"(?P<name>[\w.+-]+)=(?P<url>.+)")
_JSON = ".json"


def named_urls(words: Sequence[str]) -> dict[str, str]:
    """URLs of the files of detections by name; a file without a name has that of the file.

    Raises:
        UsageError: the list is empty, or two files have the same name.
    """
    urls: dict[str, str] = {}
    for word in words:
        named = _NAMED.fullmatch(word)
        name, url = (named["name"], named["url"]) if named else (posixpath.splitext(posixpath.basename(word))[0], word)
        if urls.setdefault(name, url) != url or not name:
            raise UsageError(f"--detections {shown(word)}: the name {name!r} is taken. Write NAME={shown(url)}.")
    if not urls:
        raise UsageError("--detections: empty. Name at least one file.")
    return urls


def read_truth(url: str, *, subset: str | None, meta: str | None) -> GroundTruth:
    """Ground truth of a .json file, a table or a folder.

    Args:
        url: URL of ActivityNet's JSON, of THUMOS14's folder, or of a .csv, .tsv or .parquet table of segments.
        subset: name of the subset; default: the only one.
        meta: URL of THUMOS14's meta file, which has the lengths of the videos.

    Raises:
        UsageError: a file is missing or has another form.
    """
    if url.lower().endswith(annotation_table.SUFFIXES):
        if subset is not None:
            raise UsageError(f"--subset {subset}: {shown(url)} is a table without subsets. Leave out --subset.")
        truth = annotation_table.read_annotation(url)
    elif not url.lower().endswith(_JSON):
        truth = thumos14.read_annotation(url, subset)
    else:
        truth = activitynet.read_ground_truth(url, subset)
    if meta is None:
        return truth
    durations_s = {video.video_id: video.duration_s for video in read_facts(meta)}
    if not durations_s.keys() & truth.video_ids:
        raise UsageError(f"--meta {shown(meta)}: has none of the annotated videos. Give the file of this subset.")
    return GroundTruth(truth.class_names, truth.video_ids, truth.segments, truth.ambiguous, durations_s, truth.subset)


def annotation_warnings(truth: GroundTruth) -> Iterator[str]:
    """Known faults of the annotation, one line for each video."""
    for video_id, count in sorted(beyond_end(truth.segments, truth.durations_s).items()):
        total = sum(one.video_id == video_id for one in truth.segments)
        yield f"{video_id}: {count} of {total} annotated segments end after the video"
    for video_id in sorted(thumos14.WRONG_CONTENT & truth.video_ids):
        yield f"{video_id}: its annotated segments are known to have the wrong content"


def read_detections(url: str, truth: GroundTruth, meant: Callable[[str], str]) -> list[Detection]:
    """Detections of a file, with the video ids of the ground truth.

    Args:
        url: URL of ActivityNet's results (.json), or of a text file of THUMOS14.
        truth: ground truth with the known classes and lengths.
        meant: id of a video by its name.

    Raises:
        UsageError: the file is missing, empty or has another form, a label is unknown, or a segment ends after its
            video.
    """
    where = shown(url)
    found = activitynet.read_results(url) if url.lower().endswith(_JSON) else thumos14.read_detections(url)
    if not found:
        raise UsageError(f"{where}: has no detections. Give a file with at least one.")
    check_labels(found, truth.class_names, where)
    ids = {name: meant(name) for name in {one.video_id for one in found}}
    found = [one._replace(video_id=ids[one.video_id]) for one in found]
    for video_id in beyond_end(found, truth.durations_s, tolerance_s=LONGEST_OVERHANG_S):
        end_s = max(one.end_s for one in found if one.video_id == video_id)
        raise UsageError(
            f"{where}: a detection of {video_id} ends at {end_s:g} s, the video at "
            f"{truth.durations_s.get(video_id, math.nan):g} s. Clip the detections to their videos."
        )
    return found


def id_finder(known: frozenset[str]) -> Callable[[str], str]:
    """Function that returns the id of a video by a name with or without `.mp4`, and with or without `v_`."""

    def meant(name: str) -> str:
        plain = thumos14.plain_id(name)
        others = (plain, plain.removeprefix("v_"), f"v_{plain}")
        return next((one for one in others if one in known), plain)

    return meant
