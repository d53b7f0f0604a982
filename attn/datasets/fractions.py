"""Which training videos are labelled, held out, or left out of a fold: the same on every machine and in every run."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from attn.datasets.entries import SplitList
from attn.errors import UsageError

FEWEST_VIDEOS = 2
"""Of a class to train on: an anchor and its positive come from two videos."""


def take_fraction(split: SplitList, fraction: float, *, seed: int) -> SplitList:
    """A random share of the videos of each class, as if the others had no label; in the order of the list.

    Videos are ranked by a hash of seed and id, so the order of the list does not matter, and of one seed a smaller
    share lies within every larger one: figures at 5 %, 10 %, 20 % differ by the videos that were added, not by luck.

        videos of class c = max(2, ceil(fraction · n_c)), all where there are fewer

    Args:
        split: the training videos; give each split of a data set a seed of its own.
        fraction: above 0, up to 1.
        seed: another seed, another choice.

    Raises:
        UsageError: no such share.

    Source: Li et al. 2017, section 4.5 (the shares; random).
    Differs: two videos at least and nesting are ours; the paper is silent.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"fraction {fraction:g} of the training videos: give a share above 0 and up to 1")
    taken = {
        video_id
        for ranked in _ranked_by_class(split, f"fraction/{seed}")
        for video_id in ranked[: max(FEWEST_VIDEOS, _ceil(fraction * len(ranked)))]
    }
    return {video_id: label for video_id, label in split.items() if video_id in taken}


def hold_out_videos(split: SplitList, fraction: float = 0.1, *, seed: int) -> frozenset[str]:
    """Ids of the training videos that are not trained on but looked at to stop early.

    Chosen independently of `take_fraction`. The price of choosing videos and not groups: clips of one recording may
    lie on both sides, so accuracy on them flatters.

        videos of class c = min(max(1, round(fraction · n_c)), n_c − 2), none where n_c ≤ 2

    Args:
        split: what may be trained on; take its fraction first.
        fraction: of each class, below 1; 0 holds nothing out.
        seed: another seed, another choice.

    Raises:
        UsageError: no such share.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"fraction {fraction:g} of the videos to hold out: give a share from 0 to below 1")
    if fraction == 0:
        return frozenset()
    return frozenset(
        video_id
        for ranked in _ranked_by_class(split, f"hold-out/{seed}")
        for video_id in ranked[: max(0, min(max(1, round(fraction * len(ranked))), len(ranked) - FEWEST_VIDEOS))]
    )


class Fold(NamedTuple):
    """The training videos in two parts."""

    train: SplitList
    """To learn from."""
    left: SplitList
    """The fold itself: what such a learner has not seen."""


def split_folds(
    split: SplitList, folds: int, *, seed: int, group_of: Callable[[str], Hashable] | None = None
) -> list[Fold]:
    """The training videos dealt out to folds, and for each fold the others; all in the order of the list.

    Clips of one recording stay together, else a learner would have seen the places and people of what it is shown; they
    are parted only where a class has one recording alone. Groups are dealt class by class in an order that a hash of
    seed and id decides, so each fold gets as many of a class as any other, or one more, and every class is in the
    `train` of every fold.

    Args:
        split: the training videos; take their fraction first.
        folds: 2 or more.
        seed: another seed, other folds.
        group_of: recording of a video id, counted within its class. Default: each video is one of its own.

    Raises:
        UsageError: no such number of folds; a class of one video; fewer groups than folds.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds of the training videos: give 2 or more")
    fold_of: dict[str, int] = {}
    dealt = 0
    for ranked in sorted(_ranked_by_class(split, f"folds/{seed}"), key=lambda videos: split[videos[0]]):
        if len(ranked) < FEWEST_VIDEOS:
            raise UsageError(
                f"class {split[ranked[0]]!r} has one training video, {ranked[0]}, and folds need two: one to be left "
                "out, one to learn from. List more of its videos, or give --map-source same_cnn."
            )
        for group in _groups(ranked, group_of):
            fold_of |= dict.fromkeys(group, dealt % folds)
            dealt += 1
    if dealt < folds:
        raise UsageError(f"{folds} folds of {dealt} videos, or recordings, leave some empty; give {dealt} or fewer")
    return _parted(split, fold_of, folds)


def deal_groups(
    split: SplitList, folds: int, *, seed: int, group_of: Callable[[str], Hashable], where: str
) -> list[Fold]:
    """Like `split_folds`, for groups that have videos of several classes, such as one person who does everything.

    Large groups come first; each goes to the fold that has the fewest videos of its classes, of equal ones to the one
    with the fewest videos.

    Args:
        split: the videos.
        folds: 2 or more; with as many as groups, each fold is one group.
        seed: decides between groups of one size.
        group_of: group of a video id.
        where: name of the list, for messages.

    Raises:
        UsageError: too few groups; a fold would leave no video of some class to learn from.
    """
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for video_id in split:
        groups[group_of(video_id)].append(video_id)
    if not 2 <= folds <= len(groups):
        raise UsageError(f"{where}: {folds} parts of {len(groups)} groups of videos. Give 2 to {len(groups)} parts.")
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
                f"{where}: {folds} parts leave no video of {min(missing)!r} to learn from, as groups stay whole. "
                "Label its videos in more groups, or give other --parts."
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
    """What is dealt as one, of the videos of a class."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for video_id in ranked:
        groups[group_of(video_id) if group_of else video_id].append(video_id)
    return list(groups.values()) if len(groups) > 1 else [[video_id] for video_id in ranked]


def _ranked_by_class(split: SplitList, salt: str) -> list[list[str]]:
    """The videos of each class in an order that only their ids and the salt decide."""
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for video_id, label in split.items():
        classes[label].append(video_id)
    return [sorted(videos, key=lambda one: _hashed(f"{salt}/{one}")) for videos in classes.values()]


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _ceil(share: float) -> int:
    """Rounded up, but not for the last bits: 0.1 · 30 is 3.0000000000000004."""
    return math.ceil(round(share, 9))
