"""From the numbers of a training to the reasons why it has learnt nothing."""

import math

import pytest

from attn.training.finetune_config import FinetuneConfig
from attn.training.recipe import paper_recipe
from attn.training.untrained import Chance, epoch_signs, signs_to_tell, untrained_reasons

SIX = Chance.of([1] * 6, [40] * 6, train_count=60, validation_count=12)
GOOD = {
    "train_loss": 0.4,
    "train_accuracy": 0.9,
    "validation_accuracy": 0.7,
    "dead_channels": 0.1,
    "largest_class_share": 0.3,
}
DEAD = {
    "train_loss": math.log(6),
    "train_accuracy": 0.17,
    "validation_accuracy": 1 / 6,
    "dead_channels": 0.99,
    "largest_class_share": 1.0,
}


def kinds(changes, chance=SIX, config=None):
    return list(epoch_signs(GOOD | changes, chance, config or FinetuneConfig(), "validation"))


def test_chance_follows_from_the_classes():
    assert Chance(pytest.approx(math.log(6)), pytest.approx(1 / 6), 60, pytest.approx(1 / 6), 12) == SIX
    unequal = Chance.of([1, 3, 0], [], train_count=4, validation_count=0)
    assert unequal.loss == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))
    assert (unequal.train, unequal.validation) == (0.75, 0.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (DEAD, ["dead_channels", "one_class", "loss_at_chance", "accuracy_at_chance"]),
        ({"dead_channels": 0.91}, ["dead_channels"]),
        ({"dead_channels": 0.9}, []),
        ({"largest_class_share": 1.0}, ["one_class"]),
        ({"largest_class_share": 0.99}, []),
        # a loss near chance with answers that are not is slow learning
        ({"train_loss": 1.79, "train_accuracy": 0.3}, []),
        ({"train_loss": 1.77, "train_accuracy": 0.2}, ["loss_at_chance"]),
        ({"train_loss": 1.75, "train_accuracy": 0.2}, []),
        ({"train_loss": 2.5, "train_accuracy": 0.2}, ["loss_at_chance"]),
        # learnt by heart, and bad on held-out videos
        ({"train_accuracy": 1.0, "train_loss": 0.01, "validation_accuracy": 0.1}, []),
        # of 12 videos: 1/6 + 0.108; of 60: 1/6 + 0.048
        ({"train_accuracy": 0.21, "validation_accuracy": 0.27, "train_loss": 1.7}, ["accuracy_at_chance"]),
        ({"train_accuracy": 0.21, "validation_accuracy": 0.28, "train_loss": 1.7}, []),
        ({"train_accuracy": 0.22, "validation_accuracy": 0.27, "train_loss": 1.7}, []),
        ({"train_accuracy": 0.21, "validation_accuracy": 0.27, "train_loss": 1.6}, []),  # the loss falls already
        ({"train_accuracy": 0.1, "validation_accuracy": None, "train_loss": 1.0}, []),
    ],
)
def test_what_counts_as_a_sign(changes, expected):
    assert kinds(changes) == expected


@pytest.mark.parametrize(
    ("chance", "changes", "expected"),
    [
        (Chance.of([1, 1], [9, 9], train_count=20, validation_count=2), {}, []),  # two held-out videos, learnt by heart
        (
            Chance.of([1, 1], [9, 9], train_count=20, validation_count=2),
            {"train_accuracy": 0.5, "train_loss": 0.65},
            ["one_class", "accuracy_at_chance"],
        ),
        (Chance.of([1, 1], [9, 0], train_count=20, validation_count=20), {}, []),  # of one class
        (Chance.of([1, 1], [], train_count=20, validation_count=0), {}, ["one_class"]),  # watched in training pictures
    ],
)
def test_one_class_for_few_pictures_may_be_right(chance, changes, expected):
    assert kinds({"largest_class_share": 1.0, **changes}, chance) == expected


def test_a_reason_says_what_is_seen_and_the_flag_to_try():
    signs = epoch_signs(DEAD, SIX, FinetuneConfig(), "validation")
    assert signs["dead_channels"] == (
        "99% of the map layer's channels are zero on all validation images: the learning rate was too high for images "
        "that differ so much from those of pretraining. Try --lr 0.0001, --warmup 200 or a smaller --head-lr."
    )
    assert "is 1.792 (chance: 1.792) and the training accuracy is 17.0%" in signs["loss_at_chance"]
    plain = epoch_signs(DEAD, SIX, paper_recipe(FinetuneConfig()), "training")
    assert plain["dead_channels"].endswith("that differ so much from those of pretraining. Try --recipe steady.")


def row(*found):
    return {"untrained": {kind: f"{kind}!" for kind in found}}


@pytest.mark.parametrize(
    ("rows", "told", "expected"),
    [
        ([row()], (), []),
        ([{"epoch": 0}], (), []),
        ([row("dead_channels")], (), ["dead_channels"]),
        ([row("one_class")], (), []),
        ([row("one_class"), row("one_class")], (), ["one_class"]),
        ([row("one_class"), row("one_class")], ("one_class",), []),
        ([row("loss_at_chance")], (), []),
        ([row("loss_at_chance"), row("loss_at_chance")], (), ["loss_at_chance"]),
        ([{"epoch": 0}, row("loss_at_chance", "dead_channels")], (), ["dead_channels"]),
        ([row("loss_at_chance"), row(), row("loss_at_chance")], (), []),
    ],
)
def test_each_kind_is_told_once_and_slow_starts_are_not(rows, told, expected):
    assert list(signs_to_tell(rows, told)) == expected


@pytest.mark.parametrize(
    ("kept", "last", "expected"),
    [
        (row(), row(), []),
        ({}, {}, []),  # of an older training
        (row("one_class"), row(), ["one_class!"]),
        (row("loss_at_chance"), row("loss_at_chance"), ["loss_at_chance!"]),
        (row("loss_at_chance"), row(), []),
        (row(), row("loss_at_chance", "one_class", "dead_channels"), []),  # died after a good epoch, which is kept
        (row("dead_channels"), row("dead_channels"), []),
        (row("dead_channels"), row("dead_channels", "loss_at_chance"), ["dead_channels!"]),
    ],
)
def test_the_state_that_is_kept_decides(kept, last, expected):
    assert untrained_reasons(kept, last) == expected
