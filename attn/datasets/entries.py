"""Entries of video lists, the common form of all list formats: a video, its class and its line."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attn.classes import ClassFinder
from attn.errors import UsageError
from attn.video.ids import KnownIds, tell_apart, without_extension

SplitList = dict[str, str]
"""Video ID → class name, in the order of the list."""
LabelSets = dict[str, tuple[str, ...]]
"""Video ID → names of its classes, in the order of the class list. A video may have none."""


class Entry(NamedTuple):
    """One video of a list."""

    video_id: str
    label: str
    """Class name as spelt in the list; empty if the video has none."""
    place: str
    """File and line, for messages."""
    path: str
    """Video as named in the list: its file, with as many folders as are given, or its ID."""
    number: str | None = None
    """Number of the class, if the list gives one."""
    group: str | None = None
    """Group of videos that belong together, if the list gives one."""
    several: bool = False
    """Whether the list may give the video further classes on other lines, or none."""
    segment: tuple[float, float] | None = None
    """Start and end of the action in seconds, if the list gives them."""


class Listed(NamedTuple):
    """Video of a list, with everything that its lines say."""

    entry: Entry
    """Its first line."""
    classes: tuple[str, ...]
    """Names of its classes, in the order of the class list."""


def numbered_lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Location and content of each line that is not blank; the official lists contain blank lines."""
    lines: Iterable[str] = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{where}, line {number}", line.strip()


def listed_videos(
    entries: Iterable[Entry],
    class_names: Sequence[str],
    present: Iterable[str] | Mapping[str, str] = (),
    whose: str = "",
) -> dict[str, Listed]:
    """Videos of a list by ID, with their classes spelt as in `class_names`.

    A class is matched exactly, otherwise with the only class of the same spelling. A video gets its ID from `present`;
    a missing video gets the name of its file, or its path if several videos of the list share the name.

    Args:
        entries: entries of the list.
        class_names: names of the classes; every label must be one of them.
        present: IDs of the existing videos; a mapping also gives their locations.
        whose: owner of the class names, for messages.

    Raises:
        UsageError: a class is unknown, a video appears twice in a list of one class per video, its lines contradict
            each other, or several videos share a name; the message names the line.
    """
    listed = list(entries)
    found: dict[str, dict[str, Entry]] = {}  # video → class, or "" for none → its first line
    ids, names = ids_of(listed, KnownIds(present)), names_meant(listed, class_names)
    for entry, name in zip(listed, names, strict=True):
        if name is None and entry.label:
            raise UsageError(
                f"{entry.place}: class {entry.label!r} is not among the {len(class_names)} class names{whose}. "
                "Correct the label."
            )
        video_id = ids[entry.path]
        lines = found.setdefault(video_id, {})
        if lines:
            _check_again(video_id, lines, entry, name or "")
        lines.setdefault(name or "", entry)
    order = {name: i for i, name in enumerate(class_names)}
    return {
        video_id: Listed(next(iter(lines.values())), tuple(sorted(filter(None, lines), key=order.__getitem__)))
        for video_id, lines in found.items()
    }


def _check_again(video_id: str, lines: Mapping[str, Entry], entry: Entry, name: str) -> None:
    """Refuse a further line of a video, unless it adds a class or a segment."""
    first, same = next(iter(lines.values())), lines.get(name)
    if first.path != entry.path:
        raise UsageError(
            f"{entry.place}: the only video {video_id!r} may be {first.path!r} or {entry.path!r}. Remove the line of "
            "the other one, or add the missing video."
        )
    if not entry.several:
        raise UsageError(
            f"{entry.place}: video {entry.path!r} appears twice. Remove one of the lines, or give a table with the "
            "column labels if videos may have several classes."
        )
    if ("" in lines) != (not name):
        raise UsageError(f"{entry.place}: video {entry.path!r} is listed with and without a class. Remove one line.")
    if same is not None and None in (same.segment, entry.segment):
        has = f"with class {name!r}" if name else "without a class"
        raise UsageError(f"{entry.place}: video {entry.path!r} appears twice {has}. Remove one line.")


def split_list(
    entries: Iterable[Entry],
    class_names: Sequence[str],
    present: Iterable[str] | Mapping[str, str] = (),
    whose: str = "",
) -> SplitList:
    """Videos of a list of one class per video; arguments and errors as in `listed_videos`.

    Raises:
        UsageError: a video has no class, or several.
    """
    return one_class_each(listed_videos(entries, class_names, present, whose))


def one_class_each(videos: Mapping[str, Listed]) -> SplitList:
    """Class of each video.

    Raises:
        UsageError: a video has no class, or several; the message names its first line.
    """
    for entry, classes in videos.values():
        if len(classes) != 1:
            has = f"several classes ({', '.join(classes)})" if classes else "no class"
            raise UsageError(
                f"{entry.place}: video {entry.path!r} has {has}, but each video needs exactly one here. Leave it out."
            )
    return {video_id: classes[0] for video_id, (_, classes) in videos.items()}


def names_meant(entries: Sequence[Entry], class_names: Sequence[str]) -> Iterator[str | None]:
    """Class of each entry, by its name or otherwise by its number; None if neither is known or given."""
    find, first = ClassFinder(class_names), _first_number(entries, len(class_names))
    for entry in entries:
        class_id = find(entry.label)
        if class_id is None and entry.number is not None and first is not None:
            class_id = int(entry.number) - first
        yield None if class_id is None else class_names[class_id]


def ids_of(entries: Sequence[Entry], known: KnownIds) -> dict[str, str]:
    """ID of each path of a list. A path that is listed again is the same video.

    Args:
        entries: entries of the list.
        known: IDs of the existing videos.

    Raises:
        UsageError: a path matches several existing videos.
    """
    first = {entry.path: entry for entry in reversed(entries)}
    distinct = [entry for entry in entries if first[entry.path] is entry]
    found = known.find_all([entry.path for entry in distinct], [entry.place for entry in distinct])
    absent = [entry for entry, video_id in zip(distinct, found, strict=True) if video_id is None]
    others = iter(tell_apart(absent, lambda entry, level: _name(entry, known, level), levels=3))
    ids = (next(others) if video_id is None else video_id for video_id in found)
    return {entry.path: video_id for entry, video_id in zip(distinct, ids, strict=True)}


def _name(entry: Entry, known: KnownIds, level: int) -> str:
    """Name of a missing video, which must not be the ID of another video."""
    names = (entry.video_id, without_extension(entry.path), entry.path)
    return next((name for name in names[level:] if name not in known), entry.path)


def _first_number(entries: Collection[Entry], num_classes: int) -> int | None:
    """Number of the first class, 0 or 1; None if the numbers do not show which.

    Numbers next to a folder are used only if they start with 0: those of UCF101, where the folder is the class, start
    with 1.
    """
    entries = [entry for entry in entries if entry.label]
    numbers = {int(entry.number) for entry in entries if entry.number is not None}
    if 0 in numbers:
        return 0 if max(numbers) < num_classes else None
    plain = all(entry.number == entry.label for entry in entries)
    return 1 if plain and max(numbers, default=0) == num_classes else None
