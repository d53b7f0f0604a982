"""UCF-11 (YouTube Action): clips of 11 actions, cut from 25 groups of recordings per class.

    action_youtube_naudio/<class>/v_<name>_GG/v_<name>_GG_CC.avi
    action_youtube_naudio/<class>/Annotation/v_<name>_GG_CC.xgtf        ViPER boxes, see `attn.datasets.viper`

The class is the folder above the group's folder. File names use other words: `v_shooting_01_01.avi` is in basketball.
Published counts of the clips differ (1160, 1600, 1601), so clips are counted when the folder is read.

Source: Liu, Luo, Shah 2009.
"""

import posixpath
import re

from attn.datasets.entries import SplitList
from attn.datasets.fractions import take_fraction
from attn.datasets.protocol import Benchmark, Split, check_groups, check_images, leave_one_out
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.video.source import list_videos

VIDEOS = "action_youtube_naudio"
TRAIN_SHARE = 975 / 1600
"""Share of training clips of the split with 975 training and 625 test clips."""

_VIDEO_ID = re.compile(r"(?P<folder>v_.+_(?P<group>\d+))_\d+")


def benchmark(root: str, images: str | None) -> Benchmark:
    """UCF-11 with its own protocol: leave one group out, one split per group number, top-1 accuracy.

    Args:
        root: local or remote folder that contains `action_youtube_naudio`.
        images: folder of Web images of these classes.

    Raises:
        UsageError: the folder is missing, a clip has another place or name, fewer than two groups are found, or
            `images` is not a folder.
    """
    labels = read_labels(root)
    return _benchmark("ucf11", root, images, leave_one_out(labels, group_of, "group"))


def benchmark_975(root: str, images: str | None) -> Benchmark:
    """UCF-11 with one split of whole groups, the nearest to 975 training and 625 test clips of 1600.

    A group number is on one side for all classes. Among sets of test groups with equally near counts, the first in
    lexicographic order is taken. Arguments and errors as for `benchmark`.

    Source: Sharma et al. 2015 report such a split without naming its groups.
    """
    labels = read_labels(root)
    test = nearest_groups(labels, (1 - TRAIN_SHARE) * len(labels))
    split = Split(
        "groups975",
        {video_id: name for video_id, name in labels.items() if group_of(video_id) not in test},
        {video_id: name for video_id, name in labels.items() if group_of(video_id) in test},
    )
    return _benchmark("ucf11_975", root, images, (split,))


def benchmark_random(root: str, images: str | None) -> Benchmark:
    """UCF-11 with one random split of 975 / 625 clips that ignores the groups, for comparison only.

    Clips of one recording are on both sides, so the accuracy is far too high. Arguments and errors as for `benchmark`.
    """
    labels = read_labels(root)
    train = take_fraction(labels, TRAIN_SHARE, seed=0)
    test = {video_id: name for video_id, name in labels.items() if video_id not in train}
    return _benchmark("ucf11_random", root, images, (Split("random", train, test),), grouped=False)


def _benchmark(
    name: str, root: str, images: str | None, splits: tuple[Split, ...], *, grouped: bool = True
) -> Benchmark:
    check_images(images)
    names = tuple(sorted({label for split in splits for part in (split.train, split.test) for label in part.values()}))
    if grouped:
        for split in splits:
            check_groups(split, group_of)
    return Benchmark(name, names, join(root, VIDEOS), images, 1, "top_1", splits, group_of if grouped else None)


def read_labels(root: str) -> SplitList:
    """Classes of all clips, in the order of their IDs.

    Raises:
        UsageError: the folder is missing, a clip has another place or name, or fewer than two groups are found.
    """
    labels: SplitList = {}
    for video in list_videos(join(root, VIDEOS)):
        *_, label, folder, _ = ("", "", *(video.member or video.url).split("/"))
        match = _VIDEO_ID.fullmatch(posixpath.basename(video.video_id))
        if match is None or match["folder"] != folder or label == VIDEOS:
            raise UsageError(f"{video.where}: not named <class>/v_<name>_<group>/v_<name>_<group>_<clip>. Move it.")
        labels[video.video_id] = label
    if len(groups := {group_of(video_id) for video_id in labels}) < 2:
        raise UsageError(
            f"{shown(root)}: clips of {len(groups)} groups found, but leaving one out needs two. Add the other groups."
        )
    return labels


def group_of(video_id: str) -> int:
    """Number of the recording that a clip was cut from, counted within its class: 7 for `v_shooting_07_02`.

    Raises:
        UsageError: the ID is not a UCF-11 name.
    """
    match = _VIDEO_ID.fullmatch(posixpath.basename(video_id))
    if match is None:
        raise UsageError(f"{video_id}: no group in the name. Name it v_<name>_<group>_<clip>.")
    return int(match["group"])


def nearest_groups(labels: SplitList, wanted: float) -> frozenset[int]:
    """Group numbers whose clips number nearest to `wanted`; at least one group is in the set and one is not."""
    sizes: dict[int, int] = {}
    for video_id in labels:
        sizes[group_of(video_id)] = sizes.get(group_of(video_id), 0) + 1
    sets: dict[int, tuple[int, ...]] = {0: ()}  # number of clips → first set of groups with that number
    for group in sorted(sizes, reverse=True):  # a set with a lower first group replaces those with equally many clips
        sets |= {count + sizes[group]: (group, *others) for count, others in sets.items()}
    del sets[0], sets[len(labels)]
    return frozenset(min(sets.items(), key=lambda one: (abs(one[0] - wanted), one[1]))[1])
