"""Split lists of data sets, in any known format, as the class or classes of each video."""

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attn.classes import ClassFinder, class_ids
from attn.datasets import hmdb51, something_v2, ucf101
from attn.datasets.entries import (
    Entry,
    LabelSets,
    Listed,
    SplitList,
    listed_videos,
    names_meant,
    one_class_each,
    split_list,
)
from attn.datasets.own_list import parse_file, parse_text
from attn.datasets.recordings import recording_in_name
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.listing import glob_files
from attn.storage.location import Location

__all__ = [
    "LabelSets",
    "SplitList",
    "classes_of_list",
    "has_times",
    "read_label_sets",
    "read_recordings",
    "read_split",
    "split_text",
    "write_split_list",
]


def read_split(
    url: str,
    class_names: Sequence[str] | None = None,
    *,
    part: hmdb51.Part = "test",
    present: Iterable[str] | Mapping[str, str] = (),
    whose: str = "",
) -> SplitList:
    """Videos of a split list and their classes, one each.

    A list in UCF101's format, a JSON list of Something-Something V2, or one of your own (see `attn.datasets.own_list`),
    is one file; HMDB51's lists of one
    split are a folder or a glob such as `lists/*_test_split1.txt`. Class names are matched exactly, otherwise without
    regard to case, underscores, hyphens and white space.

    Args:
        url: local path or URL.
        class_names: names of the classes; every label must be one of them. Default: the labels of the list.
        part: part to read from lists that contain both; other lists contain only one part.
        present: IDs of the existing videos. Listed videos that are among them get these IDs. A mapping also gives their
            locations, which distinguish videos of the same name.
        whose: owner of the class names, for messages, such as ` of store/`.

    Raises:
        UsageError: the format or a class is unknown; a video appears twice, or has several classes or none; several
            videos share a name; the list is empty. The message names the file and line.
    """
    return one_class_each(_listed(url, class_names, part, present, whose))


def read_label_sets(
    url: str,
    class_names: Sequence[str] | None = None,
    *,
    part: hmdb51.Part = "test",
    present: Iterable[str] | Mapping[str, str] = (),
    whose: str = "",
) -> LabelSets:
    """Videos of a split list and their classes; a table may give a video several classes, or none.

    Arguments and errors are those of `read_split`.
    """
    videos = _listed(url, class_names, part, present, whose)
    return {video_id: listed.classes for video_id, listed in videos.items()}


def _listed(
    url: str,
    class_names: Sequence[str] | None,
    part: hmdb51.Part,
    present: Iterable[str] | Mapping[str, str],
    whose: str,
) -> dict[str, Listed]:
    entries = _some_entries(url, part)
    names = sorted({entry.label for entry in entries if entry.label}) if class_names is None else class_names
    return listed_videos(entries, names, present, whose)


def has_times(url: str, *, part: hmdb51.Part = "test") -> bool:
    """Return whether a list gives times of segments.

    Raises:
        UsageError: the format is unknown, or the list is empty.
    """
    return any(entry.segment is not None for entry in _some_entries(url, part))


def classes_of_list(url: str, class_names: tuple[str, ...], *, part: hmdb51.Part = "test") -> tuple[str, ...]:
    """Classes that a split list is about: the given ones if it names no others, otherwise its own, sorted.

    Numbers count as positions in the given classes, except in a list that gives each class a name and a number: its
    numbers are positions among the given classes only if it has as many classes.

    Args:
        url: local path or URL.
        class_names: classes that may be meant, by name or by number.
        part: part to read from lists that contain both.

    Raises:
        UsageError: the format is unknown, or the list is empty.
    """
    entries, find = [entry for entry in _some_entries(url, part) if entry.label], ClassFinder(class_names)
    labels = {entry.label for entry in entries}
    both = {(entry.label, entry.number) for entry in entries if entry.number != entry.label}
    own = len(both) == len(labels) != len(class_names) and any(find(label) is None for label in labels)
    if own or None in names_meant(entries, class_names):
        return tuple(sorted(labels))
    return class_names


def read_recordings(url: str, listed: Iterable[str], *, part: hmdb51.Part = "test") -> dict[str, str]:
    """Recording that each video of a list was cut from, counted within its class.

    It is the `group` column of a table, otherwise the group in a name of UCF101 or UCF-11 such as v_Archery_g07_c02,
    otherwise the video itself.

    Args:
        url: URL of the list.
        listed: IDs of all videos of the list, in its order, as returned by `read_split`.
        part: part that was read.
    """
    first_lines: dict[str, Entry] = {}
    for entry in _some_entries(url, part):
        first_lines.setdefault(entry.path, entry)
    return {
        video_id: entry.group or ucf101.group_in_name(video_id) or recording_in_name(video_id) or video_id
        for video_id, entry in zip(listed, first_lines.values(), strict=True)
    }


def write_split_list(
    url: str, split: SplitList, class_names: Sequence[str], recordings: Mapping[str, str] | None = None
) -> None:
    """Write a list that `read_split` reads back unchanged; the file appears complete or not at all.

    Raises:
        UsageError: as `split_text`.
    """
    Location.at(url).write_atomic(split_text(split, class_names, recordings, where=shown(url)).encode())


def split_text(
    split: SplitList, class_names: Sequence[str], recordings: Mapping[str, str] | None = None, *, where: str
) -> str:
    """Text of a split list, as written by `write_split_list`.

        <Class>/<video_id>.avi <id>        UCF101's format, ids from 1, if ids have no folders
        video_id,label[,group]             a table otherwise, or with recordings

    The extension is part of UCF101's format; the files of the videos may have another one.

    Args:
        split: videos of the list.
        class_names: names of the classes; their order gives the numbers.
        recordings: recording of each video, if the list is to contain them.
        where: name of the file, for messages.

    Raises:
        UsageError: the list would be empty, a class is not among the names, or neither format can represent the names.
    """
    if not split:
        raise UsageError(f"{where}: the list would be empty. Give at least one video.")
    table = _table_text(split, recordings)
    if recordings is None:
        official = _ucf101_text(split, class_names)
        with contextlib.suppress(UsageError):
            if _reads_back(official, split, class_names, where):
                return official
    if _reads_back(table, split, class_names, where):
        return table
    raise UsageError(f"{where}: some names do not fit in a line. Rename videos or classes with unusual characters.")


def _reads_back(text: str, split: SplitList, class_names: Sequence[str], where: str) -> bool:
    return list(split_list(parse_text(text, where), class_names).items()) == list(split.items())


def _ucf101_text(split: SplitList, class_names: Sequence[str]) -> str:
    ids = class_ids(class_names)
    return "".join(f"{name}/{video_id}.avi {ids.get(name, -1) + 1}\n" for video_id, name in split.items())


def _table_text(split: SplitList, recordings: Mapping[str, str] | None) -> str:
    text = io.StringIO()
    rows = [("video_id", "label"), *split.items()]
    if recordings is not None:
        rows = [(*row, group) for row, group in zip(rows, ["group", *map(recordings.get, split)], strict=True)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _some_entries(url: str, part: hmdb51.Part) -> list[Entry]:
    entries = list(_entries(url, part))
    if not entries:
        of_part = {"both": "", "train": "training ", "test": "test "}[part]
        raise UsageError(f"{shown(url)}: no {of_part}videos listed. Check that it is the right list.")
    return entries


def _entries(url: str, part: hmdb51.Part) -> Iterator[Entry]:
    place = Location.at(url)
    with place.errors():
        files = [place.at_path(path) for path in sorted(file.path for file in glob_files(place))]
    splits = {file: hmdb51.split_number(file.name) for file in files}
    of_hmdb51 = [file for file in files if splits[file] is not None]
    if of_hmdb51:
        _check_one_split(url, {splits[file] for file in of_hmdb51})
        for file in of_hmdb51:
            yield from hmdb51.parse_list(file.read_text(), file.name, str(file), part)
    elif len(files) == 1 and files[0].name.endswith(".json"):
        yield from something_v2.parse_list(files[0].read_text(), str(files[0]))
    elif len(files) == 1:
        yield from parse_file(files[0])
    else:
        found = f"{len(files)} files found" if files else "no file found"
        raise UsageError(f"{shown(url)}: {found}. Name one list, or a folder of HMDB51's <class>_test_split<K>.txt.")


def _check_one_split(url: str, splits: Iterable[int | None]) -> None:
    numbers = sorted(number for number in splits if number is not None)
    if len(numbers) > 1:
        choice = f"*_test_split{numbers[0]}.txt"
        raise UsageError(
            f"{shown(url)}: lists of the splits {numbers}. Choose one with a glob: {choice!r} in the folder."
        )
