"""The rule that keeps a state, on courses of accuracy drawn by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.training.early_stop import is_over, is_worse, kept_look

COURSES = st.lists(st.integers(0, 20).map(lambda right: right / 20), min_size=1, max_size=30)


def test_the_margin_is_one_standard_error_of_the_best():
    # 0.5 on 100 videos: 0.05.
    assert not is_worse([0.5, 0.451], 100)
    assert is_worse([0.5, 0.449], 100)
    assert not is_worse([0.5, 0.36], 10)


def test_a_perfect_look_forgives_nothing():
    assert is_worse([1.0, 0.999], 10)
    assert not is_worse([1.0, 1.0], 10)


def test_of_looks_that_are_alike_the_latest_is_kept():
    """24 held-out videos: 0.29 early was luck, and the later states were the better ones."""
    assert kept_look([0.21, 0.29, 0.21, 0.25, 0.25, 0.25], 24) == 6


def test_a_clear_decline_is_not_kept():
    assert kept_look([0.5, 0.8, 0.79, 0.5, 0.4], 1000) == 3


def test_a_new_best_is_kept_after_a_decline():
    assert kept_look([0.5, 0.8, 0.5, 0.9, 0.5], 1000) == 4


@pytest.mark.parametrize(("patience", "over"), [(1, True), (2, True), (3, False), (0, False)])
def test_it_ends_after_so_many_worse_looks_in_a_row(patience, over):
    assert is_over([0.5, 0.8, 0.5, 0.4], 1000, patience) is over


def test_a_look_that_is_not_worse_begins_the_count_anew():
    assert not is_over([0.8, 0.5, 0.5, 0.8, 0.5], 1000, 2)


def test_nothing_is_over_before_the_first_look():
    assert not is_over([], 10, 1)


@given(COURSES)
def test_a_kept_state_is_never_worse_than_the_best_before_it(course):
    kept = kept_look(course, 50)
    assert not is_worse(course[:kept], 50)
    assert all(is_worse(course[:count], 50) for count in range(kept + 1, len(course) + 1))
