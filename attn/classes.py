"""Class names and their ids: an id is the position of the name in the class list.

Every file that speaks of classes (checkpoint, store, scores) carries the names, so an id never travels alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from attn.errors import UsageError


def parse_class_list(lines: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Class names from the lines of a class list: one name a line, or UCF101's `<id> <Name>` with ids from 1.

    Blank lines are skipped (the official lists hold some).

    Args:
        lines: the file's lines.
        where: what to call the file in an error.

    Raises:
        UsageError: no names, a name twice, or ids that are not 1…n in order.
    """
    rows = [line.strip() for line in lines if line.strip()]
    if rows and all(row.split(maxsplit=1)[0].isdigit() and " " in row for row in rows):
        numbered = [row.split(maxsplit=1) for row in rows]
        ids = [int(number) for number, _ in numbered]
        if ids != list(range(1, len(ids) + 1)):
            raise UsageError(f"{where}: the ids must be 1 to {len(ids)} in order")
        rows = [name.strip() for _, name in numbered]
    return check_class_names(rows, where=where)


def check_class_names(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """The names as a tuple, once it is sure that there are some and that none stands twice."""
    if not names:
        raise UsageError(f"{where}: the class list is empty; write one class name a line")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{where}: class names stand twice: {', '.join(repeated)}")
    return tuple(names)


def class_ids(names: Sequence[str]) -> dict[str, int]:
    """Name → id."""
    return {name: i for i, name in enumerate(names)}


def spelling(name: str) -> str:
    """The name without its case, underscores, hyphens and white space: folders write `kick_high` for `kick high`."""
    return re.sub(r"[\s_-]", "", name).casefold()


class ClassFinder:
    """Class id of a name: of the class that is called so, else of the only one that is spelt alike, else None."""

    def __init__(self, names: Sequence[str]):
        self._ids = class_ids(names)
        alike = Counter(map(spelling, names))
        self._alike = {key: self._ids[name] for name in names if alike[key := spelling(name)] == 1}

    def __len__(self) -> int:
        return len(self._ids)

    def __call__(self, name: str) -> int | None:
        return self._ids.get(name, self._alike.get(spelling(name)))
