"""Entries of video lists, the common form of all list formats: a video, its class and its line."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attn.classes import ClassFinder
from attn.errors import UsageError
from attn.video.ids import KnownIds, tell_apart, without_extension

SplitList = dict[str, str]
"""Video ID → class name, in the order of the list."""


class Entry(NamedTuple):
    """One video of a list."""

    video_id: str
    label: str
    """Class name as spelt in the list."""
    place: str
    """File and line, for messages."""
    path: str
    """Video as named in the list: its file, with as many folders as are given, or its ID."""
    number: str | None = None
    """Number of the class, if the list gives one."""
    group: str | None = None
    """Group of videos that belong together, if the list gives one."""


def numbered_lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Location and content of each line that is not blank; the official lists contain blank lines."""
    lines: Iterable[str] = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{where}, line {number}", line.strip()


def split_list(
    entries: Iterable[Entry],
    class_names: Sequence[str],
    present: Iterable[str] | Mapping[str, str] = (),
    whose: str = "",
) -> SplitList:
    """Videos of a list, with their classes spelt as in `class_names`.

    A class is matched exactly, otherwise with the only class of the same spelling. A video gets its ID from `present`;
    a missing video gets the name of its file, or its path if several videos of the list share the name.

    Args:
        entries: entries of the list.
        class_names: names of the classes; every label must be one of them.
        present: IDs of the existing videos; a mapping also gives their locations.
        whose: owner of the class names, for messages.

    Raises:
        UsageError: a class is unknown, a video appears twice, or several videos share a name; the message names the
            line.
    """
    listed = list(entries)
    split: SplitList = {}
    lines: dict[str, Entry] = {}
    ids, names = _ids(listed, KnownIds(present)), names_meant(listed, class_names)
    for entry, video_id, name in zip(listed, ids, names, strict=True):
        if name is None:
            raise UsageError(
                f"{entry.place}: class {entry.label!r} is not among the {len(class_names)} class names{whose}. "
                "Correct the label."
            )
        if (first := lines.setdefault(video_id, entry)) is not entry:
            raise _twice(video_id, first.path, entry)
        split[video_id] = name
    return split


def _twice(video_id: str, first: str, entry: Entry) -> UsageError:
    if first == entry.path:
        return UsageError(f"{entry.place}: video {video_id!r} appears twice. Remove one of the lines.")
    return UsageError(
        f"{entry.place}: the only video {video_id!r} may be {first!r} or {entry.path!r}. Remove the line of the other "
        "one, or add the missing video."
    )


def names_meant(entries: Sequence[Entry], class_names: Sequence[str]) -> Iterator[str | None]:
    """Class of each entry, by its name or otherwise by its number; None if neither is known."""
    find, first = ClassFinder(class_names), _first_number(entries, len(class_names))
    for entry in entries:
        class_id = find(entry.label)
        if class_id is None and entry.number is not None and first is not None:
            class_id = int(entry.number) - first
        yield None if class_id is None else class_names[class_id]


def _ids(entries: Sequence[Entry], known: KnownIds) -> Iterator[str]:
    found = known.find_all([entry.path for entry in entries], [entry.place for entry in entries])
    absent = [entry for entry, video_id in zip(entries, found, strict=True) if video_id is None]
    others = iter(tell_apart(absent, lambda entry, level: _name(entry, known, level), levels=3))
    return (next(others) if video_id is None else video_id for video_id in found)


def _name(entry: Entry, known: KnownIds, level: int) -> str:
    """Name of a missing video, which must not be the ID of another video."""
    names = (entry.video_id, without_extension(entry.path), entry.path)
    return next((name for name in names[level:] if name not in known), entry.path)


def _first_number(entries: Collection[Entry], num_classes: int) -> int | None:
    """Number of the first class, 0 or 1; None if the numbers do not show which.

    Numbers next to a folder are used only if they start with 0: those of UCF101, where the folder is the class, start
    with 1.
    """
    numbers = {int(entry.number) for entry in entries if entry.number is not None}
    if 0 in numbers:
        return 0 if max(numbers) < num_classes else None
    plain = all(entry.number == entry.label for entry in entries)
    return 1 if plain and max(numbers, default=0) == num_classes else None
