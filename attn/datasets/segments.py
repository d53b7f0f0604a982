"""Actions with a start and an end, as annotated or detected in untrimmed videos; common to all formats of files."""

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from attn.errors import UsageError, some


class Segment(NamedTuple):
    """Action of the ground truth, or an Ambiguous segment."""

    video_id: str
    label: str
    start_s: float
    end_s: float


class Detection(NamedTuple):
    """Action found by a method."""

    video_id: str
    label: str
    start_s: float
    end_s: float
    score: float
    """Confidence in any unit; only the order counts."""


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """Temporal annotation of videos.

    Attributes:
        class_names: classes that a detection may have.
        video_ids: videos of the annotation, also those without a segment.
        segments: segments in file order.
        ambiguous: segments that the annotators were not sure of.
        durations_s: length of those videos of which it is known.
        subset: name of the annotated part of the data set.
    """

    class_names: tuple[str, ...]
    video_ids: frozenset[str]
    segments: list[Segment]
    ambiguous: list[Segment] = dataclasses.field(default_factory=list)
    durations_s: Mapping[str, float] = dataclasses.field(default_factory=dict)
    subset: str = ""


def times(start: Any, end: Any, place: str) -> tuple[float, float]:
    """Start and end of a segment as numbers; both may be texts.

    Args:
        start: start in seconds.
        end: end in seconds.
        place: file, and line or video, for messages.

    Raises:
        UsageError: they are not finite, or the end is before the start.
    """
    start_s, end_s = finite(start, "start", place), finite(end, "end", place)
    if end_s < start_s:
        raise UsageError(f"{place}: the segment {start_s:g} to {end_s:g} s is reversed. Write its start first.")
    return start_s, end_s


def finite(value: Any, name: str, place: str) -> float:
    """A number that may be a text.

    Raises:
        UsageError: it is not a finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise UsageError(f"{place}: the {name} {str(value)[:40]!r} is not a finite number. Correct it.")
    return number


def check_labels(found: Iterable[Segment | Detection], class_names: Collection[str], where: str) -> None:
    """Refuse labels that are not among the classes.

    Raises:
        UsageError: a label is unknown; the message names it.
    """
    if unknown := sorted({one.label for one in found} - {*class_names}):
        raise UsageError(
            f"{where}: not among the {len(class_names)} classes of the ground truth: {some(map(repr, unknown))}. "
            "Correct the labels, or give the annotation of these classes."
        )


def beyond_end(
    segments: Sequence[Segment] | Sequence[Detection], durations_s: Mapping[str, float], *, tolerance_s: float = 0.0
) -> dict[str, int]:
    """Number of segments per video that end after the video; a video of unknown length has none."""
    beyond: dict[str, int] = {}
    for one in segments:
        if one.end_s > durations_s.get(one.video_id, math.inf) + tolerance_s:
            beyond[one.video_id] = beyond.get(one.video_id, 0) + 1
    return beyond
