"""A data set's own list of videos, whichever of the known formats it is in, as video id → class name."""

import contextlib
import csv
import io
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attn.classes import class_ids
from attn.datasets import hmdb51
from attn.datasets.entries import Entry, SplitList, split_list
from attn.datasets.own_list import parse_file, parse_text
from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, read_text, storage_errors, url_of, write_atomic
from attn.storage.listing import glob_files
from attn.storage.reasons import shown

__all__ = ["SplitList", "read_split", "split_text", "write_split_list"]


def read_split(
    url: str,
    class_names: Sequence[str] | None = None,
    *,
    part: hmdb51.Part = "test",
    present: Iterable[str] | Mapping[str, str] = (),
) -> SplitList:
    """Videos of a split list and their classes.

    A list of UCF101's format, or one of your own (see `attn.datasets.own_list`), is one file; HMDB51's lists of one
    split are a folder or a glob such as `lists/*_test_split1.txt`. Class names are matched exactly, else without regard
    to case, underscores, hyphens and white space.

    Args:
        url: local or remote.
        class_names: every label must be one of them. Default: those of the list.
        part: which videos of lists that hold both; another list holds one part, and that is it.
        present: ids of the videos that there are. Those of the list are called so if they are among them.
            A mapping tells where they lie too, which tells apart those of one name.

    Raises:
        UsageError: file and line of what is wrong: another format, a class that is not in the list of classes, a
            video that stands twice, a name that several videos share; or nothing is listed at all.
    """
    entries = list(_entries(url, part))
    if not entries:
        raise UsageError(f"{shown(url)} lists no {part} videos; is it the right list?")
    names = sorted({entry.label for entry in entries}) if class_names is None else class_names
    return split_list(entries, names, present)


def write_split_list(url: str, split: SplitList, class_names: Sequence[str]) -> None:
    """Writes a list that `read_split` reads back as it was; the file appears whole or not at all.

    Raises:
        UsageError: as `split_text`.
    """
    write_atomic(*open_filesystem(url), split_text(split, class_names, where=shown(url)).encode())


def split_text(split: SplitList, class_names: Sequence[str], *, where: str) -> str:
    """Text of such a list.

        <Class>/<video_id>.avi <id>        UCF101's format, ids from 1, if ids have no folders
        video_id,label                     a table otherwise

    The extension is part of UCF101's format; what the video is called need not end so.

    Args:
        split: the videos.
        class_names: their order gives the ids.
        where: name of the file, for messages.

    Raises:
        UsageError: no videos, a class that is not among the names, or names that neither can hold.
    """
    if not split:
        raise UsageError(f"{where}: there are no videos to list")
    official, table = _ucf101_text(split, class_names), _table_text(split)
    with contextlib.suppress(UsageError):
        if _reads_back(official, split, class_names, where):
            return official
    if _reads_back(table, split, class_names, where):
        return table
    raise UsageError(f"{where}: a line cannot hold some of the names; rename videos or classes with odd characters")


def _reads_back(text: str, split: SplitList, class_names: Sequence[str], where: str) -> bool:
    return list(split_list(parse_text(text, where), class_names).items()) == list(split.items())


def _ucf101_text(split: SplitList, class_names: Sequence[str]) -> str:
    ids = class_ids(class_names)
    return "".join(f"{name}/{video_id}.avi {ids.get(name, -1) + 1}\n" for video_id, name in split.items())


def _table_text(split: SplitList) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("video_id", "label"), *split.items()])
    return text.getvalue()


def _entries(url: str, part: hmdb51.Part) -> Iterator[Entry]:
    fs, path = open_filesystem(url)
    with storage_errors(url):
        files = sorted(file.path for file in glob_files(fs, path))
    splits = {file: hmdb51.split_number(posixpath.basename(file)) for file in files}
    of_hmdb51 = [file for file in files if splits[file] is not None]
    if of_hmdb51:
        _check_one_split(url, {splits[file] for file in of_hmdb51})
        for file in of_hmdb51:
            where = shown(url_of(fs, file))
            yield from hmdb51.parse_list(read_text(fs, file), posixpath.basename(file), where, part)
    elif len(files) == 1:
        yield from parse_file(fs, files[0])
    else:
        found = f"holds {len(files)} files" if files else "matches no file"
        raise UsageError(f"{shown(url)} {found}; name one list, or a folder of HMDB51's <class>_test_split<K>.txt")


def _check_one_split(url: str, splits: Iterable[int | None]) -> None:
    numbers = sorted(number for number in splits if number is not None)
    if len(numbers) > 1:
        choice = f"*_test_split{numbers[0]}.txt"
        raise UsageError(f"{shown(url)} holds the splits {numbers}; choose one with a glob: {choice!r} in the folder")
