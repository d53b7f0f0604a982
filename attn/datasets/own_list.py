"""Video lists as users write them: one video and its class per line, or a table.

    clip1.mp4 tennis                 video_id,label                path,class,note
    boxing/clip.webm boxing          clip1,tennis                  boxing/clip.webm,boxing,late

White space, a comma, a semicolon or a tab may separate the two; a table without a header begins with a video's file.
Lines in UCF101's format, in which the folder is the class, are also read. A number is the position in a class list.
"""

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from attn.datasets.entries import Entry, names_meant, numbered_lines
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import open_filesystem, read_text, storage_errors, url_of
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
GROUP = "group"
"""Optional column with the group of each video: one recording, one place, one person."""
TABLES = (".csv", ".tsv")

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))
_UCF101 = re.compile(rf"(?P<path>.+?(?:{_SUFFIX}))(?:\s+(?P<number>\d+))?", re.IGNORECASE)
_PAIR = re.compile(rf"(?P<path>.+?(?:{_SUFFIX}))[\"']?(?:\s*[,;\t]\s*|\s+)(?P<label>\S.*)", re.IGNORECASE)


def read_labels(url: str, class_names: Sequence[str] = ()) -> dict[str, str]:
    """Video, as spelt in the list → class name.

    Args:
        url: URL of any list that `parse_file` reads; local or remote.
        class_names: known classes; a label that is one of them, by name or by number, gets its spelling, and others
            stay as listed.

    Raises:
        UsageError: as `parse_file`; or a video has two labels.
    """
    fs, path = open_filesystem(url)
    labels: dict[str, str] = {}
    entries = list(parse_file(fs, path))
    for entry, meant in zip(entries, names_meant(entries, class_names), strict=True):
        label = entry.label if meant is None else meant
        if labels.setdefault(entry.path, label) != label:
            raise UsageError(
                f"{entry.place}: video {entry.path!r} has two labels, {labels[entry.path]!r} and {label!r}. Remove one."
            )
    if not labels:
        raise UsageError(f"{shown(url)}: the list is empty. Write a video and its class on each line.")
    return labels


def parse_file(fs: AbstractFileSystem, path: str) -> Iterator[Entry]:
    """Entries of one file: a .parquet, a .csv or .tsv, or lines of text.

    Raises:
        UsageError: the file is missing, has another form, or lacks a column or a value.
    """
    where = shown(url_of(fs, path))
    kind = posixpath.splitext(path)[1].lower()
    if kind == ".parquet":
        return _parquet(fs, path, where)
    return parse_text(read_text(fs, path), where, table=kind in TABLES)


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


def _entry(path: str, label: str, place: str, group: str | None = None) -> Entry:
    path, label = _path(path), label.strip().strip("\"'")
    video_id = video_id_of(path) if is_video(path) else path
    return Entry(video_id, label, place, path, label if label.isascii() and label.isdigit() else None, group)


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
        columns = [0, 1]
    else:
        columns = _columns(rows[0] if rows else [], where)
        rows = rows[1:]
    yield from _entries(([_at(row, column) for column in columns] for row in rows), where)


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.strip().strip('"').lower() for cell in cells}
    return bool(names & {*VIDEO_COLUMNS} and names & {*LABEL_COLUMNS})


def _parquet(fs: AbstractFileSystem, path: str, where: str) -> Iterator[Entry]:
    try:
        with storage_errors(url_of(fs, path)), fs.open(path, "rb") as file, pq.ParquetFile(file) as table:
            names = table.schema_arrow.names
            chosen = [names[column] for column in _columns(names, where)]
            columns = [table.read(columns=[name])[name].cast(pa.string()).to_pylist() for name in chosen]
    except pa.ArrowException as error:
        raise UsageError(f"{where}: not a readable Parquet file ({error}). Write it again.") from error
    yield from _entries(zip(*columns, strict=True), where)


def _columns(names: Sequence[str], where: str) -> list[int]:
    """Positions of the video and label columns and, if it exists, the group column.

    If several columns are candidates, the first in our lists of names is used.
    """
    known = [name.strip().lower() for name in names]
    places = [
        next((known.index(one) for one in kinds if one in known), None) for kinds in (VIDEO_COLUMNS, LABEL_COLUMNS)
    ]
    video, label = places
    if video is None or label is None:
        missing = " and ".join(
            name for name, place in zip(("label", "video_id"), (label, video), strict=True) if place is None
        )
        raise UsageError(f"{where}: no column for {missing}. The columns are: {', '.join(names)}.")
    return [video, label, *([known.index(GROUP)] if GROUP in known else [])]


def _at(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _entries(rows: Iterable[Sequence[str | None]], where: str) -> Iterator[Entry]:
    for number, row in enumerate(rows, 1):
        video, label, *group = ((cell or "").strip() for cell in row)
        if not (video and label):
            raise UsageError(f"{where}: row {number} lacks a video_id or a label. Fill it in.")
        if group and not group[0]:
            raise UsageError(f"{where}: row {number} lacks a group. Fill it in.")
        yield _entry(video, label, f"{where}, row {number}", *group)
