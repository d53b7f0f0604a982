"""Shares of the training videos: per class, nested, the same whatever the order of the list."""

import random
from collections import Counter
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise

import pytest

from attn.datasets.fractions import hold_out_videos, take_fraction
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


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, 20, float("nan")])
def test_no_such_share_of_labels(fraction):
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        take_fraction(SPLIT, fraction, seed=0)


@pytest.mark.parametrize("fraction", [1, -0.1, 10, float("nan")])
def test_no_such_share_to_hold_out(fraction):
    with pytest.raises(UsageError, match="from 0 to below 1"):
        hold_out_videos(SPLIT, fraction, seed=0)
