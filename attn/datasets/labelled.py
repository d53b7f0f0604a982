"""Own videos with labels in a table, cross-validated: each part is the test set of one split.

    video_id,label[,group]        csv or parquet, or any list that `own_list` reads; one row per labelled video

Videos of one group (a recording, a place, a person) are all used for training or all for testing. Otherwise, a method
would be rated on people and places that it has seen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attn.datasets.entries import listed_videos, one_class_each
from attn.datasets.fractions import deal_groups
from attn.datasets.own_list import parse_file
from attn.datasets.protocol import Benchmark, Split, check_images
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location


def benchmark(
    labels: str,
    videos: str,
    images: str | None,
    *,
    parts: int,
    fewest: int = 2,
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
        fewest: number of labelled videos of each class that the trainings need.
        class_names: class names of a CNN, which the labels must use (default: the labels, sorted).
        present: IDs of the existing videos, as for `read_split`.

    Raises:
        UsageError: the table is wrong; a label is unknown; a class has too few videos; the groups do not allow these
            parts.
    """
    check_images(images)
    entries, where = list(parse_file(Location.at(labels))), shown(labels)
    names = tuple(class_names or sorted({entry.label for entry in entries if entry.label}))
    if len(names) < 2:
        raise UsageError(
            f"{where}: all videos have the class {''.join(names)!r}. Label videos of at least two classes."
        )
    listed = listed_videos(entries, names, present)
    split = one_class_each(listed)
    _check_classes(split, names, where, fewest)
    groups = {video_id: entry.group or video_id for video_id, (entry, _) in listed.items()}
    folds = deal_groups(split, parts, seed=0, group_of=groups.__getitem__, where=where)
    splits = tuple(Split(f"part{number}", fold.train, fold.left) for number, fold in enumerate(folds, start=1))
    return Benchmark("labelled", names, videos, images, 5, "top_1", splits, groups.__getitem__, across_classes=True)


def _check_classes(split: Mapping[str, str], names: Sequence[str], where: str, fewest: int) -> None:
    counts = Counter(split.values())
    for name in names:
        if counts[name] < fewest:
            videos = "labelled video" if counts[name] == 1 else "labelled videos"
            raise UsageError(
                f"{where}: class {name!r} has {counts[name]} {videos}. Label {fewest} or more of each class."
            )
