"""Labels must earn their place."""

import pytest

from attn.eval.choice import choose_method, standard_error

FREE = {"web", "adapted"}


def method(name, trained_on, value):
    return {"method": name, "trained_on": trained_on, "top_1": {"value": value, "interval": [0, 1]}}


def gain(name, second, value, low, high, trained_on="100"):
    return {"first": name, "second": second, "trained_on": trained_on, "value": value, "interval": [low, high]}


METHODS = [
    method("CNN", "web", 0.5),
    method("UnAtt", "web", 0.4),
    method("adapted+UnAtt", "adapted", 0.6),
    method("adapted+CNN", "adapted", 0.6),
    method("finetune+CNN", "100", 0.65),
    method("finetune+UnAtt", "100", 0.7),
]


def chosen(*pairs):
    found = choose_method(METHODS, pairs, "top_1", without_labels=FREE)
    assert found.best_free["method"] == "adapted+UnAtt"  # the first of two equal ones
    return found.method["method"], found.gain


def test_the_standard_error_is_that_of_a_normal_interval():
    assert standard_error({"interval": [-0.196, 0.196]}) == pytest.approx(0.1)


def test_the_largest_clear_gain_wins():
    first = gain("finetune+CNN", "adapted+UnAtt", 0.05, -0.02, 0.1)
    second = gain("finetune+UnAtt", "adapted+UnAtt", 0.1, 0.05, 0.15)
    assert chosen(first, second) == ("finetune+UnAtt", second)


@pytest.mark.parametrize(
    "pair",
    [
        gain("finetune+CNN", "adapted+UnAtt", 0.05, -0.2, 0.3),  # less than a standard error
        gain("finetune+CNN", "adapted+UnAtt", 0.0, 0.0, 0.0),
        gain("finetune+CNN", "adapted+UnAtt", -0.3, -0.3, -0.3),
        gain("finetune+CNN", "finetune+UnAtt", 0.3, 0.2, 0.4),  # over another method
        gain("adapted+CNN", "adapted+UnAtt", 0.3, 0.2, 0.4, trained_on="adapted"),  # no labels
    ],
)
def test_without_a_clear_gain_no_label_is_used(pair):
    assert chosen(pair) == ("adapted+UnAtt", None)
