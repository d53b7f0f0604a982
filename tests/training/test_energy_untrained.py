import dataclasses

import pytest

from attn.training.energy_untrained import Training, why_untrained

PLAIN = Training(margin=2.0, residual=False, triplets=True, classes=10, held_out=30)
RESIDUAL = dataclasses.replace(PLAIN, residual=True)


def rows(*losses: float, accuracy: float | None = 0.9, spread: float = 0.5) -> list[dict[str, float | None]]:
    told = {"validation_accuracy": accuracy, "embedding_spread": spread}
    return [{"random_ranking": loss, **told} for loss in losses]


def reasons(training: Training, *losses: float, **told: float | None) -> list[str]:
    found = rows(*losses, **told)
    return why_untrained(found, found[-1], training)


@pytest.mark.parametrize("training", [PLAIN, RESIDUAL])
def test_a_training_that_has_learnt_has_no_reason(training):
    assert reasons(training, 1.9, 1.2, 0.4) == []
    assert reasons(training, 1.9, 1.2, 0.4, accuracy=None) == []
    assert reasons(training, 0.0, 0.0) == []  # there was nothing to learn


@pytest.mark.parametrize(("loss", "said"), [(1.95, 0), (1.96, 1), (2.0, 1)])
def test_a_loss_at_the_whole_margin_unless_the_start_was_residual(loss, said):
    found = reasons(PLAIN, 2.0, loss)
    assert len(found) == said
    assert all(
        "almost the whole margin of 2" in reason and "--recipe steady, a higher --lr" in reason for reason in found
    )
    assert len(reasons(RESIDUAL, 2.0, loss)) == (loss == 2.0)  # not lower than at the start


@pytest.mark.parametrize(
    ("losses", "flag"), [((1.0, 0.3, 1.0), "--lr"), ((1.0, 1.1), "--lr"), ((0.01, 0.02), "--out-of-fold")]
)
def test_a_loss_no_lower_than_at_the_start(losses, flag):
    (reason,) = reasons(RESIDUAL, *losses)
    assert "did not fall" in reason
    assert flag in reason
    assert reasons(RESIDUAL, 1.0) == []  # one row tells nothing of what changed


@pytest.mark.parametrize(("right", "said"), [(3, 1), (4, 1), (5, 0)])
def test_held_out_accuracy_at_chance(right, said):
    """Chance is 0.1, the standard error of 30 guesses 0.055: 4 of 30 are within, 5 are not."""
    found = reasons(RESIDUAL, 1.0, 0.5, accuracy=right / 30)
    assert len(found) == said
    assert all("at chance level (10.0%)" in reason for reason in found)


def test_it_is_the_kept_row_that_is_judged_by_accuracy_and_spread():
    good, bad = rows(1.0, accuracy=0.9), rows(0.5, accuracy=0.0, spread=0.0)
    assert why_untrained([*good, *bad], good[0], RESIDUAL) == []
    assert len(why_untrained([*good, *bad], bad[0], RESIDUAL)) == 2


@pytest.mark.parametrize(("spread", "said"), [(0.019, 1), (0.02, 0)])
def test_embeddings_that_point_one_way(spread, said):
    found = reasons(RESIDUAL, 1.0, 0.5, spread=spread)
    assert len(found) == said
    assert all("--centre" in reason for reason in found)
    assert reasons(dataclasses.replace(RESIDUAL, triplets=False), 1.0, 0.5, spread=spread) == []


def test_rows_of_before_the_spread_was_told():
    old = [{"random_ranking": loss, "validation_accuracy": 0.9} for loss in (1.0, 0.5)]
    assert why_untrained(old, old[-1], PLAIN) == []
