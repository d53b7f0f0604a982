"""Searcher and scheduler with results from a formula; test_search.py runs them in Ray Tune."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import optuna
import pytest
from ray.tune.search import Searcher

from attn.engine.tune.run_trials import make_scheduler
from attn.engine.tune.searcher import AGAIN, DIVERGED, ENDED, OBJECTIVE, REFUSED, RecordedSearcher
from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig
from attn.training.search_options import SearchOptions
from attn.training.search_space import Choice, Range
from attn.training.trial_records import Trial, read_trials, trial_url, write_trial

SPACE = {"lr": Range(1e-5, 1e-1, log=True), "embedding_dim": Range(8, 128)}
BASE = EnergyConfig()


def searcher(out, *, sampler="tpe", most=6, space=SPACE, seed=3):
    return RecordedSearcher(str(out), space, BASE, sampler=sampler, seed=seed, most=most, known=read_trials(str(out)))


def result(point, update=400, **more):
    """Report of a trial whose accuracy is highest at lr 1e-3."""
    return {OBJECTIVE: 1 / (1 + abs(math.log10(point["lr"]) + 3)), "update": update, "seconds": update / 100, **more}


def run_all(found, *, stop=lambda number: False):
    for count in range(100):
        trial_id = f"{id(found)}-{count}"
        config = found.suggest(trial_id)
        if config == Searcher.FINISHED:
            return
        found.on_trial_result(trial_id, result(config["point"], 100))
        ended = {} if stop(config["number"]) else {ENDED: True}
        found.on_trial_complete(trial_id, result(config["point"], **ended))
    raise AssertionError("it never ends")


def test_every_trial_is_recorded_once(tmp_path):
    run_all(searcher(tmp_path), stop=lambda number: number in (2, 5))
    trials = read_trials(str(tmp_path))
    assert [trial.number for trial in trials] == [1, 2, 3, 4, 5, 6]
    assert [trial.status for trial in trials] == ["finished", "stopped", "finished", "finished", "stopped", "finished"]
    assert all([row["update"] for row in trial.rows] == [100, 400] for trial in trials)
    assert all(trial.objective == result(trial.point)[OBJECTIVE] and trial.seconds == 5 for trial in trials)
    assert len({json.dumps(trial.point) for trial in trials}) == 6


def test_the_first_trial_is_the_usual_one(tmp_path):
    run_all(searcher(tmp_path, most=1))
    assert read_trials(str(tmp_path))[0].point == {"lr": BASE.lr, "embedding_dim": BASE.embedding_dim}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_killed_search_goes_on_with_what_had_begun(tmp_path, sampler):
    before = searcher(tmp_path, sampler=sampler)
    first, second = before.suggest("a"), before.suggest("b")
    before.on_trial_result("b", result(second["point"], 100))
    before.on_trial_complete("a", result(first["point"], **{ENDED: True}))
    third = before.suggest("c")

    after = searcher(tmp_path, sampler=sampler)
    assert [after.suggest("d"), after.suggest("e")] == [second, third]
    for name, config in (("d", second), ("e", third)):
        after.on_trial_complete(name, result(config["point"], **{ENDED: True}))
    run_all(after)
    trials = read_trials(str(tmp_path))
    assert [trial.number for trial in trials] == [1, 2, 3, 4, 5, 6]
    assert {trial.status for trial in trials} == {"finished"}
    assert trials[0].point == first["point"]
    assert searcher(tmp_path, sampler=sampler).suggest("z") == Searcher.FINISHED


def test_more_trials_can_be_added(tmp_path):
    run_all(searcher(tmp_path, most=3))
    run_all(searcher(tmp_path, most=5))
    assert [trial.number for trial in read_trials(str(tmp_path))] == [1, 2, 3, 4, 5]


def test_the_parzen_estimator_draws_more_where_it_was_good_also_after_a_kill(tmp_path):
    def off(trials):
        return sum(abs(math.log10(trial.point["lr"]) + 3) for trial in trials) / len(trials)

    for most in (12, 24, 40):
        run_all(searcher(tmp_path / "tpe", most=most))
        run_all(searcher(tmp_path / "random", most=most, sampler="random"))
    tpe, random = (read_trials(str(tmp_path / name))[24:] for name in ("tpe", "random"))
    assert off(tpe) < 0.6 * off(random)


def test_the_sampler_learns_how_trials_ended(tmp_path):
    known = [
        Trial(1, {"lr": 1e-3, "embedding_dim": 8}, {}, "finished", 0.5, rows=[{"update": 10, OBJECTIVE: 0.5}]),
        Trial(2, {"lr": 1e-2, "embedding_dim": 8}, {}, "stopped", 0.1, rows=[{"update": 5, OBJECTIVE: 0.1}]),
        Trial(3, {"lr": 1e-4, "embedding_dim": 8}, {}, "failed"),
    ]
    for trial in known:
        write_trial(str(tmp_path), trial)
    found = searcher(tmp_path)
    told = found._study.trials
    assert [trial.state for trial in told] == [optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED]
    assert [trial.params for trial in told] == [trial.drawn for trial in known[:2]]
    assert [trial.intermediate_values for trial in told] == [{10: 0.5}, {5: 0.1}]
    assert found.suggest("again")["number"] == 3


def test_a_grid_is_gone_through_once(tmp_path):
    space = {"lr": Choice((1e-4, 1e-3)), "embedding_dim": Choice((8, 16, 32))}
    for most in (2, 64):
        run_all(searcher(tmp_path, sampler="grid", space=space, most=most))
    points = [(trial.point["lr"], trial.point["embedding_dim"]) for trial in read_trials(str(tmp_path))]
    assert len(points) == len(set(points)) == 6


def test_draws_are_settled_and_both_are_recorded(tmp_path):
    space = {"num_hard": Choice((32, 512)), "candidates_initial": Choice((32, 512))}
    run_all(searcher(tmp_path, sampler="random", space=space | {"lr": Choice((1e-3,))}, most=20))
    trials = read_trials(str(tmp_path))
    for trial in trials:
        EnergyConfig(**trial.point).check()
    assert any(trial.drawn["num_hard"] > trial.drawn["candidates_initial"] for trial in trials)


@pytest.mark.parametrize(
    ("more", "error", "status", "words"),
    [
        ({ENDED: True, DIVERGED: "the loss is not finite"}, False, "diverged", "the loss is not finite"),
        ({ENDED: True, REFUSED: "disk full"}, False, "failed", "disk full"),
        ({}, True, "failed", "process was lost"),
    ],
)
def test_how_a_trial_went_wrong_is_recorded(tmp_path, more, error, status, words):
    found = searcher(tmp_path)
    config = found.suggest("a")
    found.on_trial_complete("a", result(config["point"], **more) if more else None, error=error)
    trial = read_trials(str(tmp_path))[0]
    assert trial.status == status
    assert words in trial.error
    assert (trial.objective == 0) == (DIVERGED in more)
    assert (searcher(tmp_path).suggest("b")["number"] == 1) == (status == "failed")


def test_what_one_trial_was_refused_for_ends_the_search(tmp_path):
    found = searcher(tmp_path)
    config = found.suggest("a")
    found.on_trial_complete("a", result(config["point"], **{ENDED: True, REFUSED: "disk full"}))
    assert str(found.why_over) == "disk full"
    assert found.suggest("b") == Searcher.FINISHED


def test_trials_that_end_because_the_search_does_are_done_again(tmp_path):
    """Ray Tune stops these trials in the same way as a scheduler would."""
    found = searcher(tmp_path)
    first, second = found.suggest("a"), found.suggest("b")
    found.on_trial_complete("a", result(first["point"], **{ENDED: True, REFUSED: "disk full"}))
    found.on_trial_complete("b", result(second["point"], 100))
    assert [trial.status for trial in read_trials(str(tmp_path))] == ["failed", "running"]
    after = searcher(tmp_path)
    assert [after.suggest("c"), after.suggest("d")] == [first, second]


def test_a_record_that_cannot_be_written_ends_the_search(tmp_path):
    found = searcher(tmp_path)
    config = found.suggest("a")
    shutil.rmtree(tmp_path / "trials")
    (tmp_path / "trials").write_text("in the way")
    for _ in range(2):
        found.on_trial_complete("a", result(config["point"], **{ENDED: True}))
    assert "trials" in str(found.why_over)
    (tmp_path / "trials").unlink()
    assert searcher(tmp_path).suggest("b")["number"] == 1


def test_a_trial_whose_folder_was_removed_is_done_again(tmp_path):
    space = {"lr": Choice((1e-4, 1e-3, 1e-2))}
    run_all(searcher(tmp_path, sampler="grid", space=space))
    before = read_trials(str(tmp_path))
    shutil.rmtree(trial_url(str(tmp_path), 2))
    run_all(searcher(tmp_path, sampler="grid", space=space))
    assert read_trials(str(tmp_path)) == before


def test_looks_that_come_twice_count_once(tmp_path):
    found = searcher(tmp_path)
    config = found.suggest("a")
    for update in (100, 200, 300, 200, 300, 400):
        found.on_trial_result("a", result(config["point"], update))
    assert [row["update"] for row in found.trials[1].rows] == [100, 200, 300, 400]


def test_a_damaged_record_is_named(tmp_path):
    write_trial(str(tmp_path), Trial(1, {}, {}))
    path = Path(trial_url(str(tmp_path), 1)) / "trial.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UsageError, match=r"trials/0001/trial.json: damaged"):
        read_trials(str(tmp_path))


def test_a_folder_without_a_record_was_never_begun(tmp_path):
    (tmp_path / "trials" / "0001").mkdir(parents=True)
    assert read_trials(str(tmp_path)) == []
    assert read_trials(str(tmp_path / "nothing")) == []


def after(known, *, updates=1600, look_every=100):
    """Return a function that reports a trial's validations to a scheduler with known trials and returns its actions."""
    options = SearchOptions(store="a", split="b", out="c", look_every=look_every)
    scheduler = make_scheduler(options, known, updates)
    stub = type("Stub", (), {"trial_id": "late"})()
    scheduler.on_trial_add(None, stub)

    def actions(accuracy, **more):
        return [
            scheduler.on_trial_result(None, stub, {"update": update, OBJECTIVE: accuracy, **more})
            for update in range(look_every, updates + 1, look_every)
        ]

    return actions


def good(count, last):
    rows = [{"update": update, OBJECTIVE: 0.8} for update in range(100, last + 1, 100)]
    return [Trial(number, {}, {}, "stopped", 0.8, rows=rows) for number in range(1, count + 1)]


def test_a_resumed_scheduler_knows_the_trials_before():
    """A trial that is behind the known trials at the first rung is stopped there; without them, it would continue."""
    assert after(good(4, 300))(0.3)[0] == "STOP"
    assert set(after([])(0.3)) == {"CONTINUE"}


def test_no_trial_is_stopped_for_what_was_judged_before_it_was_resumed():
    assert set(after(good(4, 300))(0.3, **{AGAIN: True})) == {"CONTINUE"}


def test_the_rungs_are_a_sixteenth_and_a_quarter_and_none_later():
    for updates, look_every, rungs in (
        (1600, 100, [1, 4]),
        (2000, 500, [1]),
        (20_000, 500, [3, 12]),
        (400, 50, [1, 4]),
    ):
        stopped = after(good(6, updates), updates=updates, look_every=look_every)(0.3)
        assert [look for look, action in enumerate(stopped, 1) if action == "STOP"] == rungs


def test_what_got_beyond_a_rung_before_does_not_raise_its_bar():
    """A validation at the second rung is compared only there, not also at the first."""
    scheduler = after([*good(1, 400), *good(1, 400)])
    assert scheduler(0.9)[0] == "CONTINUE"


def test_a_single_look_leaves_nothing_to_stop():
    assert set(after(good(6, 1600), updates=100)(0.1)) == {"CONTINUE"}


def test_trials_are_plain_data():
    trial = Trial(1, {"lr": 1.0}, {"lr": 1.0}, rows=[{"update": 5, OBJECTIVE: 0.5}])
    assert Trial(**json.loads(json.dumps(dataclasses.asdict(trial)))) == trial
    assert trial.update == 5
