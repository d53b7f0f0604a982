"""Choice of the training videos that are labelled, held out, or left out of a fold.

The choice is the same on every machine and in every run.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from attn.datasets.entries import SplitList
from attn.errors import UsageError

FEWEST_VIDEOS = 2
"""Minimum number of training videos of a class: an anchor and its positive come from two videos."""


def take_fraction(split: SplitList, fraction: float, *, seed: int) -> SplitList:
    """Random fraction of the videos of each class, in the order of the list; the others are treated as unlabelled.

    Videos are ranked by a hash of seed and ID, so the order of the list does not matter. With the same seed, every
    smaller fraction is contained in every larger one: results at 5 %, 10 % and 20 % differ because of the added videos,
    not by chance.

        videos of class c = max(2, ceil(fraction · n_c)), all if there are fewer

    Args:
        split: training videos; use another seed for each split of a data set.
        fraction: fraction to take, above 0 and up to 1.
        seed: seed of the choice.

    Raises:
        UsageError: `fraction` is out of range.

    Source: Li et al. 2017, section 4.5 (the fractions; random).
    Differs: the minimum of two videos and the nesting are ours; the paper does not mention them.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"--fraction {fraction:g}: out of range. Give a number above 0 and up to 1.")
    taken = {
        video_id
        for ranked in _ranked_by_class(split, f"fraction/{seed}")
        for video_id in ranked[: max(FEWEST_VIDEOS, _ceil(fraction * len(ranked)))]
    }
    return {video_id: label for video_id, label in split.items() if video_id in taken}


def hold_out_videos(
    split: SplitList, fraction: float = 0.1, *, seed: int, group_of: Callable[[str], Hashable] | None = None
) -> frozenset[str]:
    """IDs of the training videos that are held out for validation, for early stopping.

    The choice is independent of `take_fraction`. Clips of one recording stay together; otherwise, the validation
    accuracy would be that of places and people that were trained on. They are separated only if a class has a single
    recording.

        videos of class c ≈ min(max(1, round(fraction · n_c)), n_c − 2), none if n_c ≤ 2

    Recordings are added in random order until so many videos are held out. One that would leave fewer than two videos
    to train on is skipped, so a class of few large recordings may have none held out.

    Args:
        split: videos that may be trained on, after `take_fraction`.
        fraction: fraction of each class, below 1; 0 holds out none.
        seed: seed of the choice.
        group_of: function from a video ID to its recording, counted within its class. Default: every video is its own
            recording.

    Raises:
        UsageError: `fraction` is out of range.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"--holdout-fraction {fraction:g}: out of range. Give a number from 0 to below 1.")
    if fraction == 0:
        return frozenset()
    held: list[str] = []
    for ranked in _ranked_by_class(split, f"hold-out/{seed}"):
        most = len(ranked) - FEWEST_VIDEOS
        wanted = min(max(1, round(fraction * len(ranked))), most)
        own: list[str] = []
        for group in _groups(ranked, group_of):
            if len(own) < wanted and len(own) + len(group) <= most:
                own += group
        held += own
    return frozenset(held)


class Fold(NamedTuple):
    """Training videos in two parts."""

    train: SplitList
    """Videos to train on."""
    left: SplitList
    """Videos of the fold itself, which a training on `train` has not seen."""


def split_folds(
    split: SplitList, folds: int, *, seed: int, group_of: Callable[[str], Hashable] | None = None
) -> list[Fold]:
    """Partition of the training videos into folds, each with the remaining videos; all in the order of the list.

    Clips of one recording stay together; otherwise, a model would be applied to places and people that it was trained
    on. They are separated only if a class has a single recording. Groups are dealt class by class in an order given by
    a hash of seed and ID, so each fold gets as many groups of a class as any other, or one more, and every class is in
    the `train` of every fold.

    Args:
        split: training videos, after `take_fraction`.
        folds: number of folds, 2 or more.
        seed: seed of the partition.
        group_of: function from a video ID to its recording, counted within its class. Default: every video is its own
            recording.

    Raises:
        UsageError: the number of folds is below 2; a class has one video; there are fewer groups than folds.
    """
    if folds < 2:
        raise UsageError(f"--folds {folds}: too small. Give 2 or more.")
    fold_of: dict[str, int] = {}
    dealt = 0
    for ranked in sorted(_ranked_by_class(split, f"folds/{seed}"), key=lambda videos: split[videos[0]]):
        if len(ranked) < FEWEST_VIDEOS:
            raise UsageError(
                f"class {split[ranked[0]]!r}: has one training video, {ranked[0]}, but folds need two: one to leave "
                "out, one to train on. List more of its videos, or give --map-source same_cnn."
            )
        for group in _groups(ranked, group_of):
            fold_of |= dict.fromkeys(group, dealt % folds)
            dealt += 1
    if dealt < folds:
        raise UsageError(f"{folds} folds of {dealt} videos or recordings: some are empty. Give {dealt} or fewer.")
    return _parted(split, fold_of, folds)


def deal_groups(
    split: SplitList, folds: int, *, seed: int, group_of: Callable[[str], Hashable], where: str, flag: str = "--parts"
) -> list[Fold]:
    """Folds like those of `split_folds`, for groups that span several classes, such as all videos of one person.

    Larger groups are assigned first. Each goes to the fold with the fewest videos of its classes; among equal folds, to
    the one with the fewest videos.

    Args:
        split: videos to assign.
        folds: number of folds, 2 or more; if equal to the number of groups, each fold is one group.
        seed: seed of the order among groups of equal size.
        group_of: function from a video ID to its group.
        where: name of the list, for messages.
        flag: flag that sets the number of folds, for messages.

    Raises:
        UsageError: there are too few groups; a fold would have no training video of some class.
    """
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for video_id in split:
        groups[group_of(video_id)].append(video_id)
    if not 2 <= folds <= len(groups):
        advice = f"Give 2 to {len(groups)} parts" if len(groups) > 1 else "Label videos of other groups, too"
        raise UsageError(f"{where}: {folds} parts cannot be formed from {len(groups)} groups. {advice}.")
    counts = [Counter[str]() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    order = sorted(groups, key=lambda group: (-len(groups[group]), _hashed(f"{seed}/{group}")))
    for videos in (groups[group] for group in order):
        classes = Counter(split[video_id] for video_id in videos)
        cost = [(sum(n * own[name] for name, n in classes.items()), own.total()) for own in counts]
        fold = min(range(folds), key=cost.__getitem__)
        counts[fold] += classes
        fold_of |= dict.fromkeys(videos, fold)
    parted = _parted(split, fold_of, folds)
    for fold in parted:
        if missing := set(split.values()) - set(fold.train.values()):
            raise UsageError(
                f"{where}: {folds} parts leave no video of {min(missing)!r} to train on, because groups stay whole. "
                f"Label its videos in more groups, or change {flag}."
            )
    return parted


def _parted(split: SplitList, fold_of: Mapping[str, int], folds: int) -> list[Fold]:
    return [
        Fold(
            {video_id: name for video_id, name in split.items() if fold_of[video_id] != fold},
            {video_id: name for video_id, name in split.items() if fold_of[video_id] == fold},
        )
        for fold in range(folds)
    ]


def _groups(ranked: Sequence[str], group_of: Callable[[str], Hashable] | None) -> list[list[str]]:
    """Videos of a class that are dealt together."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for video_id in ranked:
        groups[group_of(video_id) if group_of else video_id].append(video_id)
    return list(groups.values()) if len(groups) > 1 else [[video_id] for video_id in ranked]


def _ranked_by_class(split: SplitList, salt: str) -> list[list[str]]:
    """Videos of each class, in an order that depends only on their IDs and the salt."""
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for video_id, label in split.items():
        classes[label].append(video_id)
    return [sorted(videos, key=lambda one: _hashed(f"{salt}/{one}")) for videos in classes.values()]


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _ceil(share: float) -> int:
    """Value rounded up, but not because of a rounding error: 0.1 · 30 is 3.0000000000000004."""
    return math.ceil(round(share, 9))
