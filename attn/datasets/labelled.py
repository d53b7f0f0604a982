"""Own videos with labels in a table, cross-validated: each part of them is the test of one split.

    video_id,label[,group]        csv or parquet, or any list that `own_list` reads; one row per labelled video

Videos of one group (a recording, a place, a person) are all trained on or all tested on: otherwise a method is rated on
people and places that it has seen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from attn.datasets.entries import split_list
from attn.datasets.own_list import parse_file
from attn.datasets.protocol import Benchmark, Split, check_images
from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem
from attn.storage.reasons import shown

FEWEST_VIDEOS = 2
"""Per class: one to learn from, one to test."""


def benchmark(
    labels: str,
    videos: str,
    images: str | None,
    *,
    parts: int,
    class_names: Sequence[str] | None = None,
    present: Iterable[str] | Mapping[str, str] = (),
) -> Benchmark:
    """Splits of the labelled videos; top-1 accuracy, every fifth frame.

    Parts have about equal shares of every class. With as many parts as groups, each part is one group.

    Args:
        labels: URL of the table.
        videos: URL of the videos; those without a label are in no split.
        images: URL of Web images of the classes.
        parts: number of splits, 2 or more.
        class_names: of a CNN, which labels must name (default: the labels, sorted).
        present: ids of the videos that there are, as for `read_split`.

    Raises:
        UsageError: the table is wrong; a label is unknown; a class has fewer than two videos; the groups cannot be
            parted so.
    """
    check_images(images)
    entries, where = list(parse_file(*open_filesystem(labels))), shown(labels)
    names = tuple(class_names or sorted({entry.label for entry in entries}))
    if len(names) < 2:
        raise UsageError(f"{where}: all videos are {''.join(names)!r}. Label videos of two classes at least.")
    split = split_list(entries, names, present)
    _check_classes(split, names, where)
    groups = {video_id: entry.group or video_id for video_id, entry in zip(split, entries, strict=True)}
    splits = tuple(
        Split(
            f"part{number}",
            {video_id: name for video_id, name in split.items() if video_id not in tested},
            {video_id: name for video_id, name in split.items() if video_id in tested},
        )
        for number, tested in enumerate(_parts(split, groups, parts, where), start=1)
    )
    return Benchmark("labelled", names, videos, images, 5, "top_1", splits, groups.__getitem__)


def _check_classes(split: Mapping[str, str], names: Sequence[str], where: str) -> None:
    counts = Counter(split.values())
    for name in names:
        if counts[name] < FEWEST_VIDEOS:
            has = "one labelled video" if counts[name] else "no labelled video"
            raise UsageError(f"{where}: class {name!r} has {has}. Label {FEWEST_VIDEOS} or more videos of each class.")


def _parts(split: Mapping[str, str], groups: Mapping[str, str], parts: int, where: str) -> list[set[str]]:
    """Ids of the test videos of each split."""
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold  # slow to import, rarely needed

    ids, count = sorted(split), len(set(groups.values()))
    if not 2 <= parts <= count:
        raise UsageError(f"--parts {parts}: {where} has {count} groups of videos. Give 2 to {count}.")
    everyone = parts == count
    folds = LeaveOneGroupOut() if everyone else StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    found = folds.split(np.zeros(len(ids)), [split[one] for one in ids], [groups[one] for one in ids])
    tested = [{ids[row] for row in rows} for _, rows in found]
    for part in tested:
        unknown = set(split.values()) - {split[one] for one in split.keys() - part}
        if unknown or not part:
            name = min(unknown, default="")
            raise UsageError(
                f"{where}: --parts {parts} leave no video of {name!r} to learn from, as groups stay whole. "
                "Label videos of more groups, or give other --parts."
            )
    return tested
