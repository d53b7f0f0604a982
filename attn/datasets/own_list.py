"""Video lists as users write them: one video and its class per line, or a table.

    clip1.mp4 tennis                 video_id,label                path,class,note
    boxing/clip.webm boxing          clip1,tennis                  boxing/clip.webm,boxing,late

White space, a comma, a semicolon or a tab may separate the two; a table without a header begins with a video's file.
Lines in UCF101's format, in which the folder is the class, are also read. A number is the position in a class list.

A video may have several classes, or none, in a table that says so by its columns: `labels` instead of `label`, or the
times of segments. It then has one row per class or segment, or one row with an empty label:

    video_id,labels               video_id,label,start_s,end_s
    clip1,tennis                  clip1,tennis,0.5,7
    clip1,cheering                clip1,tennis,9,12.5
    street,                       street,,,
"""

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from attn.datasets.entries import Entry, LabelSets, names_meant, numbered_lines
from attn.datasets.segments import times
from attn.errors import UsageError
from attn.schema import LABEL, VIDEO_ID
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.video.file_names import VIDEO_SUFFIXES, folder_of, is_video, video_id_of

VIDEO_COLUMNS = (
    "video_id",
    "video",
    "path",
    "file",
    "filename",
    "file_name",
    "video_path",
    "video_name",
    "clip",
    "name",
)
LABEL_COLUMNS = ("label", "class", "class_name", "action", "category", "class_id", "label_id")
SEVERAL = "labels"
"""Name of the label column in a table in which a video may have several classes, or none."""
GROUP = "group"
"""Optional column with the group of each video: one recording, one place, one person."""
TIMES = ("start_s", "end_s")
"""Optional columns with the segment of the video that shows the action."""
TABLES = (".csv", ".tsv")

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))
_UCF101 = re.compile(rf"(?P<path>.+?(?:{_SUFFIX}))(?:\s+(?P<number>\d+))?", re.IGNORECASE)
_PAIR = re.compile(rf"(?P<path>.+?(?:{_SUFFIX}))[\"']?(?:\s*[,;\t]\s*|\s+)(?P<label>\S.*)", re.IGNORECASE)


def text_of_label_sets(sets: LabelSets) -> str:
    """Text of a table in which a video may have several classes, or none; `parse_text` reads it back."""
    text = io.StringIO()
    rows = [(video_id, name) for video_id, names in sets.items() for name in names or ("",)]
    csv.writer(text, lineterminator="\n").writerows([("video_id", SEVERAL), *rows])
    return text.getvalue()


def read_labels(url: str, class_names: Sequence[str] = ()) -> dict[str, str]:
    """Video, as spelt in the list → class name. Videos of several classes, or of none, are left out.

    Args:
        url: URL of any list that `parse_file` reads; local or remote.
        class_names: known classes; a label that is one of them, by name or by number, gets its spelling, and others
            stay as listed.

    Raises:
        UsageError: as `parse_file`; or a video has two labels.
    """
    labels: dict[str, str] = {}
    entries = list(parse_file(Location.at(url)))
    several = dict[str, set[str]]()
    for entry, meant in zip(entries, names_meant(entries, class_names), strict=True):
        label = entry.label if meant is None else meant
        if entry.several:
            several.setdefault(entry.path, set()).add(label)
        elif labels.setdefault(entry.path, label) != label:
            raise UsageError(
                f"{entry.place}: video {entry.path!r} has two labels, {labels[entry.path]!r} and {label!r}. Remove one."
            )
    if not entries:
        raise UsageError(f"{shown(url)}: the list is empty. Write a video and its class on each line.")
    return labels | {path: label for path, (label, *more) in several.items() if label and not more}


def parse_file(file: Location) -> Iterator[Entry]:
    """Entries of one file: a .parquet, a .csv or .tsv, or lines of text.

    Raises:
        UsageError: the file is missing, has another form, lacks a column or a value, or a segment is reversed.
    """
    kind = posixpath.splitext(file.path)[1].lower()
    if kind == ".parquet":
        return _parquet(file)
    return parse_text(file.read_text(), str(file), table=kind in TABLES)


def parse_text(text: str, where: str, *, table: bool = False) -> Iterator[Entry]:
    """Entries of a list.

    Args:
        text: text of the list.
        where: name of the list, for messages.
        table: whether the text is a table, whatever its first line.

    Raises:
        UsageError: as `parse_file`.
    """
    lines = list(numbered_lines(text, where))
    first = lines[0][1] if lines else ""
    if table or _is_header(first.split(_delimiter(first))):
        return _table(text, where)
    return (_line(line, place) for place, line in lines[_is_header(first.split()) :])


def _line(line: str, place: str) -> Entry:
    found = _UCF101.fullmatch(line)
    if found is not None and folder_of(path := _path(found["path"])):
        return Entry(video_id_of(path), folder_of(path), place, path, found["number"])
    found = _PAIR.fullmatch(line)
    if found is None:
        raise UsageError(
            f"{place}: {line[:60]!r} does not name a video and its class. Write `<video>.mp4 <class>`, "
            "`<class>/<video>.mp4`, or a csv with the columns video_id and label."
        )
    return _entry(found["path"], found["label"], place)


def _entry(path: str, label: str, place: str) -> Entry:
    path, label = _path(path), label.strip().strip("\"'")
    video_id = video_id_of(path) if is_video(path) else path
    return Entry(video_id, label, place, path, label if label.isascii() and label.isdigit() else None)


def _path(path: str) -> str:
    """Path with slashes and without quotes."""
    plain = path.strip().strip("\"'")
    return plain if "/" in plain else plain.replace("\\", "/")


def _table(text: str, where: str) -> Iterator[Entry]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True)
        rows = [row for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise UsageError(f"{where}: not a table ({error}). Correct the file.") from error
    if rows and len(rows[0]) > 1 and is_video(_path(rows[0][0])):
        columns = {VIDEO_ID: 0, LABEL: 1}
    else:
        columns = _columns(rows[0] if rows else [], where)
        rows = rows[1:]
    yield from _entries(({name: _at(row, place) for name, place in columns.items()} for row in rows), where)


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.strip().strip('"').lower() for cell in cells}
    return bool(names & {*VIDEO_COLUMNS} and names & {*LABEL_COLUMNS, SEVERAL})


def _parquet(file: Location) -> Iterator[Entry]:
    where = str(file)
    try:
        with file.errors(), file.open() as opened, pq.ParquetFile(opened) as table:
            names = table.schema_arrow.names
            places = _columns(names, where)
            read = {one: table.read(columns=[names[place]])[names[place]] for one, place in places.items()}
            texts = [column.cast(pa.string()).to_pylist() for column in read.values()]
    except pa.ArrowException as error:
        raise UsageError(f"{where}: not a readable Parquet file ({error}). Write it again.") from error
    yield from _entries((dict(zip(places, row, strict=True)) for row in zip(*texts, strict=True)), where)


def _columns(names: Sequence[str], where: str) -> dict[str, int]:
    """Positions of the columns: `video_id`; `label` or `labels`; if they exist, the group and both times.

    If several columns are candidates, the first in our lists of names is used.
    """
    known = [name.strip().lower() for name in names]
    video = next((known.index(one) for one in VIDEO_COLUMNS if one in known), None)
    label = next((one for one in (*LABEL_COLUMNS, SEVERAL) if one in known), None)
    if video is None or label is None:
        missing = " and ".join(name for name, found in ((LABEL, label), (VIDEO_ID, video)) if found is None)
        there = f"the columns are {', '.join(names)}" if names else "the file is empty"
        raise UsageError(f"{where}: no column for {missing} ({there}). Name the columns in the first line.")
    more = [*([GROUP] if GROUP in known else []), *(TIMES if {*TIMES} <= {*known} else ())]
    of_label = SEVERAL if label == SEVERAL else LABEL
    return {VIDEO_ID: video, of_label: known.index(label), **{name: known.index(name) for name in more}}


def _at(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _entries(rows: Iterable[Mapping[str, str | None]], where: str) -> Iterator[Entry]:
    for number, row in enumerate(rows, 1):
        cells, place = {name: (cell or "").strip() for name, cell in row.items()}, f"{where}, row {number}"
        label, span = cells.get(SEVERAL) or cells.get(LABEL, ""), [cells[name] for name in TIMES if name in cells]
        several = SEVERAL in cells or bool(span)
        if not cells[VIDEO_ID] or not (label or (several and not any(span))):
            hint = "" if several else f", or name the column {SEVERAL} if videos may have several classes, or none"
            raise UsageError(f"{where}: row {number} lacks a video_id or a label. Fill it in{hint}.")
        if not cells.get(GROUP, "group"):
            raise UsageError(f"{where}: row {number} lacks a group. Fill it in.")
        segment = times(span[0], span[1], place) if any(span) else None
        yield _entry(cells[VIDEO_ID], label, place)._replace(group=cells.get(GROUP), several=several, segment=segment)
