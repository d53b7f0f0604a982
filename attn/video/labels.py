"""Labels that do not stand in the folder names: read from a table, and which of several sources decides."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, read_text, storage_errors
from attn.storage.reasons import shown

COLUMNS = ("video_id", "label")
GROUP = "group"


def read_labels(url: str) -> dict[str, str]:
    """Video id → class name, from a csv or parquet file with the columns `video_id` and `label`; others are ignored.

    Raises:
        UsageError: the file is missing, is neither, lacks a column or a value, or labels a video in two ways.
    """
    return _mapping(_rows(url), "label", shown(url))


def read_groups(url: str) -> dict[str, str]:
    """Video id → group, from the column `group` of such a file; empty if it has none.

    Raises:
        UsageError: as above; a video has two groups, or only some videos have one.
    """
    rows = _rows(url)
    return _mapping(rows, GROUP, shown(url)) if rows and GROUP in rows[0] else {}


def _rows(url: str) -> list[dict[str, str | None]]:
    if url.lower().endswith(".parquet"):
        return _parquet_rows(url)
    if url.lower().endswith(".csv"):
        return _csv_rows(url)
    raise UsageError(f"{shown(url)}: labels are a .csv or a .parquet file with the columns video_id and label")


def choose_label(
    video_id: str, hints: Sequence[str | None], ids: Mapping[str, int], labels: Mapping[str, str]
) -> int | None:
    """Class id of a video: of the first hint that is a class name, else of its entry in `labels`, else None.

    Tars of other makers often label with a bare number, which can only be a position in the class list: the last
    hint is taken so where nothing else decides.

    Args:
        video_id: key in `labels`.
        hints: names that may be class names: the folder's, then the one stored in a tar.
        ids: class name → class id.
        labels: video id → class name.

    Raises:
        UsageError: the label or the number is outside the class list.
    """
    for hint in hints:
        if hint is not None and hint in ids:
            return ids[hint]
    name = labels.get(video_id)
    if name is not None and name not in ids:
        raise UsageError(f"label {name!r} of video {video_id!r} is not in the class list; mend one of the two")
    if name is not None:
        return ids[name]
    return _numbered(video_id, hints[-1], len(ids))


def _numbered(video_id: str, hint: str | None, num_classes: int) -> int | None:
    if not num_classes or hint is None or not (hint.isascii() and hint.isdigit()):
        return None
    if int(hint) >= num_classes:
        raise UsageError(
            f"label {hint} stored with video {video_id!r} is beyond the {num_classes} names of the class list"
        )
    return int(hint)


def _csv_rows(url: str) -> list[dict[str, str | None]]:
    text = read_text(*open_filesystem(url))
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        _check_columns(header, shown(url))
        reader.fieldnames = header
        return list(reader)
    except csv.Error as error:
        raise UsageError(f"{shown(url)}: {error}") from error


def _parquet_rows(url: str) -> list[dict[str, str | None]]:
    fs, path = open_filesystem(url)
    try:
        with storage_errors(url), fs.open(path, "rb") as file, pq.ParquetFile(file) as table:
            _check_columns(table.schema_arrow.names, shown(url))
            names = [*COLUMNS, *({GROUP} & set(table.schema_arrow.names))]
            rows = table.read(columns=names).select(names)
        return rows.cast(pa.schema([(name, pa.string()) for name in names])).to_pylist()
    except pa.ArrowException as error:
        raise UsageError(f"{shown(url)} cannot be read as parquet ({error})") from error


def _check_columns(names: Iterable[str], where: str) -> None:
    if missing := set(COLUMNS) - set(names):
        raise UsageError(f"{where}: column {' and '.join(sorted(missing))} is missing; there are: {', '.join(names)}")


def _mapping(rows: Iterable[Mapping[str, str | None]], column: str, where: str) -> dict[str, str]:
    """Video id → value of a column."""
    values: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        video_id, value = ((row[name] or "").strip() for name in ("video_id", column))
        if not (video_id and value):
            raise UsageError(f"{where}: row {number} lacks a video_id or a {column}")
        if values.setdefault(video_id, value) != value:
            raise UsageError(f"{where}: video {video_id!r} has two {column}s, {values[video_id]!r} and {value!r}")
    if not values:
        raise UsageError(f"{where}: there is no row in it")
    return values
