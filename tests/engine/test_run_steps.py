"""Steps on a local Ray cluster: order, failures, lost processes, finished steps."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute_options import FramesOptions, PrecomputeOptions
from attn.commands.reproduction.jobs import job
from attn.engine import run_steps as run_steps_module
from attn.engine import session, step_task
from attn.engine.run_steps import run_steps
from attn.engine.step import Step
from attn.errors import UsageError


def of(jobs):
    return jobs.__getitem__


def evaluation(planted, out, name, needs=(), **change):
    options = EvaluateOptions(
        store=str(planted / "store"), split=str(planted / "test.txt"), out=str(out / name), methods=("cnn",)
    )
    return Step(name, "evaluate", dataclasses.replace(options, **change), needs)


def test_steps_run_after_what_they_need_and_only_once(ray_local, planted, tmp_path):
    steps = [evaluation(planted, tmp_path, "a"), evaluation(planted, tmp_path, "b", ("a",))]
    outcome = run_steps(steps, str(tmp_path), job, side_by_side=2)
    assert outcome.failed == {}
    written = {name: (tmp_path / name / "metrics.json").stat().st_mtime_ns for name in "ab"}
    assert written["a"] < written["b"]
    assert "top-1" in (tmp_path / "logs" / "a.log").read_text()
    again = run_steps(steps, str(tmp_path), job, side_by_side=2)
    assert again == outcome
    assert {name: (tmp_path / name / "metrics.json").stat().st_mtime_ns for name in "ab"} == written


def test_a_step_with_other_options_is_done_again(ray_local, planted, tmp_path):
    run_steps([evaluation(planted, tmp_path, "a")], str(tmp_path), job, side_by_side=1)
    run_steps([evaluation(planted, tmp_path, "a", window=2, methods=("unatt",))], str(tmp_path), job, side_by_side=1)
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["options"]["window"] == 2


def test_a_step_that_may_take_more_of_the_machine_is_not_done_again(ray_local, tmp_path, planted):
    options = PrecomputeOptions(videos="v", out=str(tmp_path), weights="w", lists=(str(planted / "test.txt"),))
    larger = dataclasses.replace(options, actors=(1, 8))
    jobs = {"nothing": int_of_nothing}
    first = run_steps([Step("a", "nothing", options)], str(tmp_path), of(jobs), side_by_side=1)
    assert run_steps([Step("a", "nothing", larger)], str(tmp_path), of(jobs), side_by_side=1) == first
    other = dataclasses.replace(options, stride=7)
    assert run_steps([Step("a", "nothing", other)], str(tmp_path), of(jobs), side_by_side=1).seconds.keys() == {"a"}
    assert json.loads((tmp_path / "done" / "a.json").read_text())["options"]["stride"] == 7


def test_a_step_whose_result_was_removed_is_done_again(ray_local, planted, tmp_path):
    steps = [evaluation(planted, tmp_path, "a")]
    run_steps(steps, str(tmp_path), job, side_by_side=1)
    shutil.rmtree(tmp_path / "a")
    assert run_steps(steps, str(tmp_path), job, side_by_side=1).failed == {}
    assert (tmp_path / "a" / "metrics.json").exists()


def test_a_store_that_is_not_finished_any_more_is_made_again(ray_local, planted, tmp_path):
    store = tmp_path / "store"
    step = Step("maps", "precompute", PrecomputeOptions(videos="v", out=str(store), weights="w"))
    jobs = {"precompute": finish_store}
    run_steps([step], str(tmp_path), of(jobs), side_by_side=1)
    run_steps([step], str(tmp_path), of(jobs), side_by_side=1)
    assert (store / "_SUCCESS.json").read_text() == "1"
    (store / "_SUCCESS.json").unlink()  # same state as after verify --repair
    assert run_steps([step], str(tmp_path), of(jobs), side_by_side=1).failed == {}
    assert (store / "_SUCCESS.json").read_text() == "2"


def finish_store(options):
    store = Path(options.out)
    store.mkdir(exist_ok=True)
    with (store / "runs").open("a") as runs:
        runs.write("x")
    (store / "_SUCCESS.json").write_text(str((store / "runs").stat().st_size))
    return 0


def test_another_file_under_the_same_name_is_another_input(ray_local, tmp_path):
    weights, made = tmp_path / "w.pth", tmp_path / "made"
    weights.write_text("one")
    options = PrecomputeOptions(videos="v", out=str(made), weights=str(weights))
    after = PrecomputeOptions(videos="v", out=str(tmp_path / "after"), weights=str(made))
    steps = [Step("a", "count", options), Step("b", "count", after, ("a",))]
    for text, calls in (("one", 1), ("one", 1), ("another", 2)):
        if weights.read_text() != text:
            weights.write_text(text)
        assert run_steps(steps, str(tmp_path), of({"count": one_more_line}), side_by_side=1).failed == {}
        # The output of another step is not an input file: b does not run again after a has rewritten its output.
        assert [len(Path(one.options.out).read_text()) for one in steps] == [calls, calls]


def test_more_frames_do_not_make_a_training_another(ray_local, planted, tmp_path):
    frames = FramesOptions(
        videos="v", lists=(str(planted / "test.txt"),), out=str(tmp_path / "f"), input_size=8, stride=5
    )
    more = dataclasses.replace(frames, lists=(*frames.lists, str(planted / "train.txt")))
    training = PrecomputeOptions(videos="v", out=str(tmp_path / "t"), weights="w")
    for lists, calls in ((frames, 1), (more, 2)):
        steps = [Step("frames", "count", lists), Step("t", "count", training, ("frames",))]
        assert run_steps(steps, str(tmp_path), of({"count": one_more_line}), side_by_side=1).failed == {}
        assert len(Path(frames.out).read_text()) == calls
        assert len(Path(training.out).read_text()) == 1


def one_more_line(options):
    with open(options.out, "a") as file:
        file.write(".")
    return 0


def int_of_nothing(options):
    return 0


def test_a_damaged_note_counts_for_nothing(ray_local, planted, tmp_path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "a.json").write_text("{")
    assert run_steps([evaluation(planted, tmp_path, "a")], str(tmp_path), job, side_by_side=1).failed == {}
    assert (tmp_path / "a" / "metrics.json").exists()


def test_what_fails_takes_down_only_what_needs_it_and_is_tried_again(ray_local, planted, tmp_path):
    late = tmp_path / "late"
    steps = [
        evaluation(planted, tmp_path, "bad", store=str(late)),
        evaluation(planted, tmp_path, "after", ("bad",)),
        evaluation(planted, tmp_path, "good"),
    ]
    outcome = run_steps(steps, str(tmp_path), job, side_by_side=1)
    assert outcome.failed["bad"] == f"{late}: no attention store here (manifest.json is missing). Check the URL."
    assert outcome.failed["after"] == "needs bad"
    assert outcome.skipped == {"after"}
    assert outcome.seconds.keys() == {"good"}
    assert "no attention store here" in (tmp_path / "logs" / "bad.log").read_text()
    late.symlink_to(planted / "store")
    assert run_steps(steps, str(tmp_path), job, side_by_side=1).failed == {}


def test_a_step_that_kills_its_process_takes_down_no_other(ray_local, planted, tmp_path):
    deadly = Step("deadly", "tests_kill", FramesOptions("", (), "", 1, 1))
    outcome = run_steps(
        [deadly, evaluation(planted, tmp_path, "good")],
        str(tmp_path),
        of({"tests_kill": _kill, "evaluate": job("evaluate")}),
        side_by_side=2,
    )
    assert outcome.failed.keys() == {"deadly"}
    assert "its process died" in outcome.failed["deadly"]
    assert outcome.seconds.keys() == {"good"}


def _kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_unexpected_error_is_one_line(ray_local, tmp_path):
    broken = Step("broken", "tests_break", FramesOptions("", (), "", 1, 1))
    outcome = run_steps([broken], str(tmp_path), of({"tests_break": _break}), side_by_side=1)
    assert outcome.failed["broken"] == "ZeroDivisionError: integer division or modulo by zero"


def _break(_):
    return 1 // 0


@pytest.mark.parametrize("name", ["decode_frames", "evaluate", "precompute", "train_cnn", "train_energynet"])
def test_every_job_of_a_plan_exists(name):
    assert job(name).__name__ == name


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("out of memory", "out of memory"),
        (
            "\x1b[36mray::Worker\x1b[39m failed:\n  Traceback\n  File 1\n\nKeyError: 'x'\n",
            "ray::Worker failed: … KeyError: 'x'",
        ),
        (" \n", "no message"),
    ],
)
def test_a_traceback_of_another_process_becomes_one_line(message, said):
    assert step_task.in_short(message) == said
    assert len(step_task.in_short(message * 500)) < 600


def test_a_process_that_has_done_a_step_in_place_may_do_the_next_elsewhere(monkeypatch):
    """Ray gives the process of one step to the next."""
    monkeypatch.setattr(session, "_step", [])
    session.begin_step(in_place=True)
    assert session.works_in_place()
    session.begin_step(in_place=False)
    assert not session.works_in_place()


def test_lists_of_any_format_are_part_of_the_digest(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 Kick\n", encoding="utf-8-sig")
    assert run_steps_module._content(str(tmp_path / "list.txt")) == "a.mp4 Kick\n"
    (tmp_path / "validation_set.mat").write_bytes(b"MATLAB \xff\xfe")
    (tmp_path / "lists").mkdir()
    for name in ("Kick_test_split1.txt", "Wave_test_split1.txt"):
        (tmp_path / "lists" / name).write_text("a.avi 1\n")
    for url, changed in (("validation_set.mat", "validation_set.mat"), ("lists", "lists/Wave_test_split1.txt")):
        before = run_steps_module._content(str(tmp_path / url))
        assert before == run_steps_module._content(str(tmp_path / url))
        (tmp_path / changed).write_bytes(b"\xff other")
        assert run_steps_module._content(str(tmp_path / url)) != before
    with pytest.raises(UsageError, match="missing"):
        run_steps_module._content(str(tmp_path / "missing.txt"))
