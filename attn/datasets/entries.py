"""What every official list comes down to: videos, their class, and the line that says so."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from attn.errors import UsageError

SplitList = dict[str, str]
"""Video id → class name, in the order of the list."""


class Entry(NamedTuple):
    """One video of a list."""

    video_id: str
    label: str
    """Class name as the list spells it."""
    place: str
    """File and line, for messages."""


def numbered_lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Place and content of every line that is not blank; the official lists hold blank ones."""
    lines: Iterable[str] = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{where}, line {number}", line.strip()


def split_list(entries: Iterable[Entry], class_names: Sequence[str]) -> SplitList:
    """The videos with their classes as the class list spells them: matched exactly, else without regard to case.

    Raises:
        UsageError: the place of a class that is not among them, or of a video that stands twice.
    """
    known = {name.casefold(): name for name in class_names} | {name: name for name in class_names}
    split: SplitList = {}
    for entry in entries:
        name = known.get(entry.label) or known.get(entry.label.casefold())
        if name is None:
            raise UsageError(f"{entry.place}: class {entry.label!r} is not among the {len(class_names)} class names")
        if entry.video_id in split:
            raise UsageError(f"{entry.place}: video {entry.video_id!r} stands twice; remove one of the lines")
        split[entry.video_id] = name
    return split
