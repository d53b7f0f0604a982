"""Entries, to which every list comes down: videos, their class, and the line that says so."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attn.classes import ClassFinder
from attn.errors import UsageError
from attn.video.ids import KnownIds, tell_apart, without_extension

SplitList = dict[str, str]
"""Video id → class name, in the order of the list."""


class Entry(NamedTuple):
    """One video of a list."""

    video_id: str
    label: str
    """Class name as the list spells it."""
    place: str
    """File and line, for messages."""
    path: str
    """The video as the list names it: its file, with folders as far as they are told, or its id."""
    number: str | None = None
    """Number of the class, if the list tells one."""
    group: str | None = None
    """Group of videos that belong together, if the list tells one."""


def numbered_lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Place and content of every line that is not blank; the official lists hold blank ones."""
    lines: Iterable[str] = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{where}, line {number}", line.strip()


def split_list(
    entries: Iterable[Entry], class_names: Sequence[str], present: Iterable[str] | Mapping[str, str] = ()
) -> SplitList:
    """The videos with their classes as the class list spells them: matched exactly, else by the only one spelt alike.

    A video has the id by which it is known; else the name of its file, or its path if the list has several of its name.

    Args:
        entries: of the list.
        class_names: every label must be one of them.
        present: ids of the videos that there are; a mapping tells where they lie too.

    Raises:
        UsageError: the place of a class that is not among them, of a video that stands twice, or of a name that several
            videos share.
    """
    listed = list(entries)
    split: SplitList = {}
    lines: dict[str, Entry] = {}
    ids, names = _ids(listed, KnownIds(present)), names_meant(listed, class_names)
    for entry, video_id, name in zip(listed, ids, names, strict=True):
        if name is None:
            raise UsageError(f"{entry.place}: class {entry.label!r} is not among the {len(class_names)} class names")
        if (first := lines.setdefault(video_id, entry)) is not entry:
            raise _twice(video_id, first.path, entry)
        split[video_id] = name
    return split


def _twice(video_id: str, first: str, entry: Entry) -> UsageError:
    if first == entry.path:
        return UsageError(f"{entry.place}: video {video_id!r} stands twice; remove one of the lines")
    return UsageError(
        f"{entry.place}: the one video {video_id!r} may be {first!r} as well as {entry.path!r}. Remove the line of the "
        "other, or add the video that is missing."
    )


def names_meant(entries: Sequence[Entry], class_names: Sequence[str]) -> Iterator[str | None]:
    """Class of each entry, by its name or else by its number; None if neither tells it."""
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
    """Name of a video that is not there, which must not take the id of another."""
    names = (entry.video_id, without_extension(entry.path), entry.path)
    return next((name for name in names[level:] if name not in known), entry.path)


def _first_number(entries: Collection[Entry], num_classes: int) -> int | None:
    """Whether classes are numbered from 0 or from 1; None if the numbers do not say so.

    Numbers beside a folder are believed only if they begin with 0: UCF101's, whose folder is the class, begin with 1.
    """
    numbers = {int(entry.number) for entry in entries if entry.number is not None}
    if 0 in numbers:
        return 0 if max(numbers) < num_classes else None
    plain = all(entry.number == entry.label for entry in entries)
    return 1 if plain and max(numbers, default=0) == num_classes else None
