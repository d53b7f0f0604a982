"""What every official list comes down to: videos, their class, and the line that says so."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


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
