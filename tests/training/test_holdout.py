import numpy as np
import pytest

from attn.training.holdout import hold_out

NAMES = [f"{name}/{number:03}.jpg" for name in ("run", "jump") for number in range(40)]
LABELS = np.repeat([0, 1], 40)


def held(names, labels, **settings):
    return {
        name
        for name, out in zip(names, hold_out(names, labels, **{"fraction": 0.3, "seed": 0} | settings), strict=True)
        if out
    }


def test_the_share_holds_in_every_class():
    out = hold_out(NAMES, LABELS, fraction=0.3, seed=0)
    assert [out[label == LABELS].sum() for label in (0, 1)] == [12, 12]


def test_the_order_of_the_listing_does_not_matter():
    order = np.random.default_rng(0).permutation(len(NAMES))
    assert held(NAMES, LABELS) == held([NAMES[i] for i in order], LABELS[order])


def test_a_spoilt_image_moves_at_most_one_other():
    everything = held(NAMES, LABELS)
    for spoilt in range(0, 80, 7):
        rest = held(NAMES[:spoilt] + NAMES[spoilt + 1 :], np.delete(LABELS, spoilt))
        assert len(rest ^ (everything - {NAMES[spoilt]})) <= 1


def test_seeds_choose_differently_and_not_by_name():
    choices = [held(NAMES, LABELS, seed=seed) for seed in range(20)]
    assert len({frozenset(choice) for choice in choices}) == 20
    assert len(set().union(*choices)) > 75


@pytest.mark.parametrize(("images", "fraction", "expected"), [(1, 0.3, 0), (2, 0.01, 1), (2, 0.99, 1), (3, 0.3, 1)])
def test_small_classes_keep_an_image_on_either_side(images, fraction, expected):
    out = hold_out(NAMES[:images], LABELS[:images], fraction=fraction, seed=0)
    assert out.sum() == expected
