"""Shares of the training videos: per class, nested, the same whatever the order of the list."""

import random
from collections import Counter
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise

import pytest

from attn.datasets.fractions import hold_out_videos, split_folds, take_fraction
from attn.datasets.ucf101 import group_of
from attn.errors import UsageError

PAPER = (0.05, 0.1, 0.2, 0.33, 0.5, 1.0)
SIZES = {"Archery": 100, "Diving": 73, "Kick": 30, "Wave": 5, "Yo": 3, "Zumba": 2, "Z": 1}
SPLIT = {f"v_{name}_g{i % 25 + 1:02}_c{i // 25 + 1:02}": name for name, n in SIZES.items() for i in range(n)}


def shuffled(split: dict[str, str]) -> dict[str, str]:
    items = list(split.items())
    random.Random(0).shuffle(items)
    return dict(items)


@pytest.mark.parametrize("fraction", [*PAPER, 0.07, 0.1 * 3, 1 / 3, 0.999, 1e-12])
def test_each_class_gives_its_share_rounded_up_but_two_at_least(fraction):
    taken = Counter(take_fraction(SPLIT, fraction, seed=0).values())
    for name, size in SIZES.items():
        share = (Decimal(str(round(fraction, 6))) * size).to_integral_value(ROUND_CEILING)
        assert taken[name] == min(size, max(2, int(share)))


@pytest.mark.parametrize(
    ("fraction", "size", "expected"), [(0.33, 100, 33), (0.1, 30, 3), (0.07, 100, 7), (0.55, 100, 55)]
)
def test_the_last_bits_of_a_product_add_no_video(fraction, size, expected):
    split = {f"{i}": "Wave" for i in range(size)}
    assert len(take_fraction(split, fraction, seed=0)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_smaller_shares_lie_within_larger_ones_in_the_order_of_the_list(seed):
    shares = [take_fraction(SPLIT, fraction, seed=seed) for fraction in PAPER]
    for smaller, larger in pairwise(shares):
        assert smaller.items() < larger.items()
        assert list(smaller) == [video_id for video_id in SPLIT if video_id in smaller]
    assert list(shares[-1].items()) == list(SPLIT.items())


def test_the_order_of_the_list_does_not_matter():
    assert take_fraction(shuffled(SPLIT), 0.2, seed=3) == take_fraction(SPLIT, 0.2, seed=3)
    assert hold_out_videos(shuffled(SPLIT), seed=3) == hold_out_videos(SPLIT, seed=3)


def test_every_video_is_chosen_under_some_seed_and_seeds_differ():
    choices = [frozenset(take_fraction(SPLIT, 0.1, seed=seed)) for seed in range(80)]
    assert len(set(choices)) == 80
    assert frozenset().union(*choices) == SPLIT.keys()
    held = [hold_out_videos(SPLIT, seed=seed) for seed in range(80)]
    assert len(set(held)) == 80
    assert frozenset().union(*held) == {video_id for video_id, name in SPLIT.items() if SIZES[name] > 2}


@pytest.mark.parametrize(("size", "expected"), [(1, 0), (2, 0), (3, 1), (4, 1), (10, 1), (24, 2), (26, 3), (100, 10)])
def test_a_tenth_is_held_out_and_two_videos_are_left(size, expected):
    split = {f"{i}": "Wave" for i in range(size)}
    held = hold_out_videos(split, seed=0)
    assert len(held) == expected
    assert held <= split.keys()


def test_large_hold_outs_leave_two_videos_and_none_holds_nothing_out():
    split = {f"{i}": "Wave" for i in range(10)}
    assert len(hold_out_videos(split, 0.99, seed=0)) == 8
    assert hold_out_videos(split, 0, seed=0) == frozenset()


def test_held_out_videos_are_not_the_first_that_a_fraction_takes():
    """Were the two rankings one, the videos held out of all would be those of the smallest fraction."""
    split = {f"{i}": "Wave" for i in range(1000)}
    both = hold_out_videos(split, 0.1, seed=0) & take_fraction(split, 0.1, seed=0).keys()
    assert len(both) < 25  # 10 expected


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_a_recording_are_held_out_together(seed):
    held = hold_out_videos(SPLIT, 0.2, seed=seed, group_of=group_of)
    kept = SPLIT.keys() - held
    recordings = [{(SPLIT[one], group_of(one)) for one in part} for part in (held, kept)]
    assert not recordings[0] & recordings[1]
    counts = Counter(SPLIT[one] for one in held)
    assert [counts[name] for name in ("Wave", "Yo", "Zumba", "Z")] == [1, 1, 0, 0]
    assert 6 <= counts["Kick"] <= 7  # of one or two
    assert counts["Archery"] == 20  # 25 recordings of four
    assert 15 <= counts["Diving"] <= 17  # of two or three


def test_a_recording_that_leaves_fewer_than_two_videos_is_not_held_out():
    split = {f"v_Wave_g01_c{i:02}": "Wave" for i in range(1, 4)} | {"v_Wave_g02_c01": "Wave"}
    for seed in range(5):
        assert hold_out_videos(split, 0.9, seed=seed, group_of=group_of) == {"v_Wave_g02_c01"}
    alone = {f"v_Wave_g01_c{i:02}": "Wave" for i in range(1, 5)}
    assert len(hold_out_videos(alone, 0.9, seed=0, group_of=group_of)) == 2  # a single recording is divided


def test_without_recordings_the_same_videos_are_held_out_as_with_one_for_each():
    assert hold_out_videos(SPLIT, seed=1) == hold_out_videos(SPLIT, seed=1, group_of=lambda video_id: video_id)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, 20, float("nan")])
def test_no_such_share_of_labels(fraction):
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        take_fraction(SPLIT, fraction, seed=0)


@pytest.mark.parametrize("fraction", [1, -0.1, 10, float("nan")])
def test_no_such_share_to_hold_out(fraction):
    with pytest.raises(UsageError, match="from 0 to below 1"):
        hold_out_videos(SPLIT, fraction, seed=0)


SEVERAL = {video_id: name for video_id, name in SPLIT.items() if SIZES[name] > 1}


@pytest.mark.parametrize("by_group", [None, group_of])
@pytest.mark.parametrize("folds", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_folds_part_the_videos_and_every_one_leaves_some_of_each_class_to_learn_from(folds, seed, by_group):
    found = split_folds(SEVERAL, folds, seed=seed, group_of=by_group)
    assert len(found) == folds
    assert sorted(video_id for fold in found for video_id in fold.left) == sorted(SEVERAL)
    for train, left in found:
        assert not train.keys() & left.keys()
        assert train | left == SEVERAL
        assert set(train.values()) == set(SEVERAL.values())
        assert [list(train), list(left)] == [[v for v in SEVERAL if v in part] for part in (train, left)]


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_each_class_is_spread_evenly_and_so_is_the_whole(folds):
    counts = [Counter(fold.left.values()) for fold in split_folds(SEVERAL, folds, seed=0)]
    for name in set(SEVERAL.values()):
        assert max(count[name] for count in counts) - min(count[name] for count in counts) <= 1
    assert max(map(Counter.total, counts)) - min(map(Counter.total, counts)) <= 1


def test_small_classes_do_not_all_fill_the_first_folds():
    split = {f"{name}{i}": name for name in "abcdef" for i in range(2)}
    assert [len(fold.left) for fold in split_folds(split, 4, seed=0)] == [3, 3, 3, 3]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_fold_and_groups_are_spread_evenly(seed):
    split = {video_id: name for video_id, name in SPLIT.items() if SIZES[name] > 25}
    found = split_folds(split, 3, seed=seed, group_of=group_of)
    groups = [{(name, group_of(video_id)) for video_id, name in fold.left.items()} for fold in found]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 75
    for name in set(split.values()):
        counts = [sum(one == name for one, _ in some) for some in groups]
        assert max(counts) - min(counts) <= 1


def test_a_class_of_one_group_is_parted_all_the_same():
    split = {f"v_Wave_g07_c{i:02}": "Wave" for i in range(1, 4)} | {f"v_Kick_g{i:02}_c01": "Kick" for i in range(1, 4)}
    for fold in split_folds(split, 3, seed=0, group_of=group_of):
        assert Counter(fold.left.values()) == {"Wave": 1, "Kick": 1}


def test_folds_do_not_depend_on_the_order_of_the_list_and_do_on_the_seed():
    for by_group in (None, group_of):
        assert split_folds(shuffled(SEVERAL), 3, seed=1, group_of=by_group) == split_folds(
            SEVERAL, 3, seed=1, group_of=by_group
        )
    found = {tuple(split_folds(SEVERAL, 3, seed=seed)[0].left) for seed in range(20)}
    assert len(found) == 20


@pytest.mark.parametrize(
    ("split", "folds", "said"),
    [
        (SEVERAL, 1, "--folds 1: too small. Give 2 or more"),
        (SPLIT, 3, "class 'Z': has one training video, v_Z_g01_c01, but folds need two"),
        (
            {"a": "Wave", "b": "Wave", "c": "Kick", "d": "Kick"},
            5,
            "5 folds of 4 videos or recordings: some are empty",
        ),
    ],
)
def test_folds_that_cannot_be_are_refused(split, folds, said):
    with pytest.raises(UsageError) as refused:
        split_folds(split, folds, seed=0)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
