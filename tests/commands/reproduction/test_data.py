"""Checks of all inputs before the first step."""

import dataclasses

import pytest

from attn.commands.reproduction.data import check_needs
from attn.commands.reproduction.experiment import make_steps
from attn.errors import UsageError


def check(plan, benchmark, **change):
    options = dataclasses.replace(plan, **change)
    check_needs(options, benchmark, make_steps(benchmark, options)[0])


@pytest.fixture
def words(tmp_path) -> str:
    """Word vectors that are equal for both classes: they have an average, but no Fisher vector."""
    path = tmp_path / "words.txt"
    path.write_text("kick 1 0\nwave 1 0\n")
    return str(path)


def test_the_vectors_of_the_classes_are_tried_with_the_aggregation_of_the_trainings(two_splits, plan, words):
    check(plan, two_splits)
    check(plan, two_splits, word_vectors=words, aggregation="average")
    with pytest.raises(UsageError, match="no two different vectors among"):
        check(plan, two_splits, word_vectors=words)
    with pytest.raises(UsageError, match="--aggregation fisher: needs word vectors"):
        check(plan, two_splits, aggregation="fisher")
    with pytest.raises(UsageError, match="--aggregation onehot does not use them"):
        check(plan, two_splits, word_vectors=words, aggregation="onehot")


def test_near_duplicates_are_looked_for_where_there_are_web_images(two_splits, plan):
    check(plan, two_splits, near_duplicates=0.9)
    with pytest.raises(UsageError, match=r"--near-duplicates 1\.5: out of range"):
        check(plan, two_splits, near_duplicates=1.5)
    with pytest.raises(UsageError, match=r"--near-duplicates: needs Web images\. Give --images, or leave"):
        check(plan, dataclasses.replace(two_splits, images=None), near_duplicates=0.9)
