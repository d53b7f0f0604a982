"""Ranking of trials."""

import dataclasses

from attn.commands.search.ranked import best_first
from attn.training.trial_records import Trial


def test_finished_before_stopped_before_diverged_then_accuracy_then_the_margin_that_is_kept_best():
    finished = Trial(1, {}, {"energy_margin": 2.0}, "finished", 0.5, 0.2)
    trials = [
        dataclasses.replace(finished, number=2, status="diverged", objective=1.0),
        dataclasses.replace(finished, number=3, status="stopped", objective=0.9),
        finished,
        dataclasses.replace(finished, number=4, shortfall=0.3, point={"energy_margin": 4.0}),
        dataclasses.replace(finished, number=5, shortfall=None),
        dataclasses.replace(finished, number=6, objective=0.6, shortfall=9.0),
    ]
    assert [trial.number for trial in best_first(trials)] == [6, 4, 1, 5, 3, 2]
