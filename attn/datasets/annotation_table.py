"""Temporal annotation in a table: one row per segment, `video_id,label,start_s,end_s`, times in seconds.

A video without an action has one row with an empty label and no times. The label `Ambiguous` is that of THUMOS14. The
classes are the labels of the table, sorted. Other forms of the same table are those of `attn.datasets.own_list`.
"""

from attn.datasets.entries import ids_of
from attn.datasets.own_list import TABLES, TIMES, parse_file
from attn.datasets.segments import GroundTruth, Segment
from attn.datasets.thumos14 import AMBIGUOUS
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.video.ids import KnownIds

SUFFIXES = (*TABLES, ".parquet")


def read_annotation(url: str) -> GroundTruth:
    """Annotation of the videos of a table.

    Args:
        url: URL of the table, local or remote.

    Raises:
        UsageError: the file is missing or has another form, a class has no times, or no segment is given.
    """
    entries = list(parse_file(Location.at(url)))
    ids = ids_of(entries, KnownIds(()))
    found: list[Segment] = []
    for entry in entries:
        if entry.segment is not None:
            found.append(Segment(ids[entry.path], entry.label, *entry.segment))
        elif entry.label:
            raise UsageError(f"{entry.place}: class {entry.label!r} has no times. Fill in {' and '.join(TIMES)}.")
    segments = [one for one in found if one.label != AMBIGUOUS]
    if not segments:
        raise UsageError(f"{shown(url)}: has no segments. Give an annotation with start and end times.")
    names = tuple(sorted({one.label for one in segments}))
    ambiguous = [one for one in found if one.label == AMBIGUOUS]
    return GroundTruth(names, frozenset(ids.values()), segments, ambiguous)
