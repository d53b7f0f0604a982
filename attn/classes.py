"""Class names and their IDs: an ID is the position of the name in the class list.

Every file that refers to classes (checkpoint, store, scores) also holds their names, so an ID never depends on another
file.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Int

from attn.errors import UsageError


def parse_class_list(lines: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Class names from the lines of a class list: one name per line, or UCF101's `<id> <Name>` with IDs from 1.

    Blank lines are skipped (the official lists contain some).

    Args:
        lines: lines of the file.
        where: name of the file, for messages.

    Raises:
        UsageError: the list is empty, a name appears twice, or the IDs are not 1…n in order.
    """
    rows = [line.strip() for line in lines if line.strip()]
    if rows and all(row.split(maxsplit=1)[0].isdigit() and " " in row for row in rows):
        numbered = [row.split(maxsplit=1) for row in rows]
        ids = [int(number) for number, _ in numbered]
        if ids != list(range(1, len(ids) + 1)):
            raise UsageError(f"{where}: the IDs are not 1 to {len(ids)} in order. Correct them.")
        rows = [name.strip() for _, name in numbered]
    return check_class_names(rows, where=where)


def check_class_names(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """The names as a tuple, after a check that there are some and that none appears twice."""
    if not names:
        raise UsageError(f"{where}: the class list is empty. Write one class name per line.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{where}: class names appear twice: {', '.join(repeated)}. Remove the duplicates.")
    return tuple(names)


def class_ids(names: Sequence[str]) -> dict[str, int]:
    """Name → ID."""
    return {name: i for i, name in enumerate(names)}


def class_mask(ids: Sequence[Collection[int]], num_classes: int) -> Bool[np.ndarray, "video cls"]:
    """Mask of the classes of each video, from their IDs; all false for a video without a class."""
    mask = np.zeros((len(ids), num_classes), bool)
    for row, of_video in zip(mask, ids, strict=True):
        row[list(of_video)] = True
    return mask


def single_labels(mask: Bool[np.ndarray, "video cls"]) -> Int[np.ndarray, "video"] | None:
    """Class ID of each video; None unless each video has exactly one class."""
    return mask.argmax(axis=1) if (mask.sum(axis=1) == 1).all() else None


def spelling(name: str) -> str:
    """Name without case, underscores, hyphens and white space: folders write `kick_high` for `kick high`."""
    return re.sub(r"[\s_-]", "", name).casefold()


class ClassFinder:
    """Lookup of a class ID by name.

    Finds the class of exactly this name, otherwise the only class with the same `spelling`, otherwise None.
    """

    def __init__(self, names: Sequence[str]):
        self._ids = class_ids(names)
        alike = Counter(map(spelling, names))
        self._alike = {key: self._ids[name] for name in names if alike[key := spelling(name)] == 1}

    def __len__(self) -> int:
        return len(self._ids)

    def __call__(self, name: str) -> int | None:
        return self._ids.get(name, self._alike.get(spelling(name)))
