"""Complete searches on a local Ray cluster."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attn.commands.cli import parse
from attn.commands.search.search import search
from attn.commands.train_energynet import train_energynet
from attn.errors import UsageError
from attn.models.energynet_file import load_energynet
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.search_options import SearchOptions
from attn.training.search_space import Choice, Range
from attn.training.trial_records import read_trials, trial_url

ROOT = Path(__file__).parents[3]
SPACE = {"lr": Range(1e-4, 2e-2, log=True), "embedding_dim": Choice((4, 8, 16)), "num_hard": Choice((8, 16, 48))}
QUICK = {"candidates_initial": 32, "candidates_final": 64, "num_hard": 16, "look_every": 50}
PICTURES = ("parallel.png", "importance.png", "progress.png")


def quick(planted, out, **change):
    paths = {"store": str(planted / "store"), "split": str(planted / "train.txt"), "out": str(out)}
    return SearchOptions(**{**paths, **QUICK, "updates": 400, "trials": 10, **change})


@pytest.fixture(scope="module")
def searched(ray_local, by_fold, planted, tmp_path_factory):
    """Options of a finished search on a store without test videos."""
    store = by_fold.write("training-only", by_fold.listed)
    options = dataclasses.replace(quick(planted, tmp_path_factory.mktemp("searched") / "search"), store=str(store))
    assert search(options, {"all": SPACE}) == 0
    return options


def test_every_trial_ends_and_some_are_stopped_early(searched):
    trials = read_trials(searched.out)
    assert [trial.number for trial in trials] == list(range(1, 11))
    statuses = [trial.status for trial in trials]
    assert set(statuses) == {"finished", "stopped"}
    for trial in trials:
        assert trial.update == 400 or trial.status == "stopped"
        assert SPACE["embedding_dim"].holds(trial.point["embedding_dim"])
        assert trial.point["num_hard"] <= 32


def test_the_best_is_written_with_pictures_and_tables(searched):
    best = json.loads((Path(searched.out) / "best.json").read_text())
    finished = [trial for trial in read_trials(searched.out) if trial.status == "finished"]
    assert best["validation_accuracy"] == max(trial.objective for trial in finished) > 0.8
    assert best["trials"] == 10
    assert best["held_out_videos"] == 6
    page = (Path(searched.out) / "search.md").read_text()
    assert all(f"({name})" in page and (Path(searched.out) / name).stat().st_size > 3000 for name in PICTURES)
    assert len((Path(searched.out) / "trials.csv").read_text().splitlines()) == 11


def test_a_trial_is_the_training_that_its_settings_make(searched, tmp_path):
    """`train_energynet` with the settings in best.json gives the same weights as the best trial, bit for bit."""
    best = json.loads((Path(searched.out) / "best.json").read_text())
    flags = ["--store", searched.store, "--split", searched.split, "--holdout-fraction", str(searched.holdout_fraction)]
    config = str(Path(searched.out) / "best.json")
    options = parse(TrainEnergyNetOptions, None, ["--config", config, *flags, "--out", str(tmp_path / "alone")])
    assert train_energynet(options) == 0
    ours, trials = (
        load_energynet(url).net.state_dict() for url in (options.out, trial_url(searched.out, best["trial"]))
    )
    for name, weight in ours.items():
        torch.testing.assert_close(trials[name], weight, rtol=0, atol=0)


def test_tensorboard_reads_every_trial(searched):
    for trial in read_trials(searched.out):
        events = EventAccumulator(f"{trial_url(searched.out, trial.number)}/energynet.train").Reload()
        assert [event.step for event in events.Scalars("kept_accuracy")] == [row["update"] for row in trial.rows]


def test_a_search_that_is_done_is_not_done_again(searched):
    before = {path: path.stat().st_mtime_ns for path in Path(searched.out).glob("trials/**/*")}
    with pytest.raises(UsageError, match=r"holds a search\. Resume it with --resume"):
        search(searched, {"all": SPACE})
    assert search(dataclasses.replace(searched, resume=True), {"all": SPACE}) == 0
    assert {path: path.stat().st_mtime_ns for path in Path(searched.out).glob("trials/**/*")} == before


@pytest.mark.parametrize(
    ("change", "space"), [({"lr": 0.5, "momentum": 0.5}, SPACE), ({}, SPACE | {"lr": Range(1e-3, 1e-2)})]
)
def test_another_search_in_its_folder_is_refused(searched, change, space):
    with pytest.raises(UsageError, match=r"holds a search with other settings \((momentum|space)\)"):
        search(dataclasses.replace(searched, resume=True, **change), {"all": space})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trials": 0}, "--trials 0"),
        ({"side_by_side": 0}, "--side-by-side 0"),
        ({"gpus_per_trial": 1.5}, "--gpus-per-trial 1.5"),
        ({"gpus_per_trial": float("nan")}, "--gpus-per-trial nan"),
        ({"gpus_per_trial": 0.0, "gpu": True}, "--gpus-per-trial 0: contradicts --gpu"),
        ({"holdout_fraction": 0.0}, "no video is held out"),
        ({"space": "some"}, "--space some: unknown. Give all, or a .json file."),
        ({"space": "nothing.json"}, "nothing.json: does not exist"),
        ({"sampler": "grid"}, "lr is a range"),
        ({"num_hard": 200}, "--num-hard 200"),
        ({"store": "nothing"}, "nothing"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(planted, tmp_path, change, said):
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        search(quick(planted, tmp_path / "out", **change), {"all": SPACE})
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpus_per_trial": 0.5}, "a trial of 1 CPU and 0.5 GPU can never be placed: the cluster has 2 CPU and 0 GPU"),
        ({"gpu": True}, "can never be placed"),
        ({"workers": 3}, "--workers 3: they need 3 CPU, but the cluster has 2"),
    ],
)
def test_what_never_fits_is_refused_before_a_trial_begins(ray_local, planted, tmp_path, change, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        search(quick(planted, tmp_path / "out", **change), {"all": SPACE})
    assert read_trials(str(tmp_path / "out")) == []


@pytest.mark.long
def test_trials_of_two_workers_are_trained_by_both(ray_local, planted, tmp_path):
    options = quick(planted, tmp_path / "out", trials=2, workers=2, updates=100)
    assert search(options, {"all": {"lr": SPACE["lr"]}}) == 0
    trials = read_trials(options.out)
    assert [trial.status for trial in trials] == ["finished", "finished"]
    alone = quick(planted, tmp_path / "alone", updates=100, allow_untrained=True, **trials[1].point)
    assert train_energynet(TrainEnergyNetOptions(**_shared_fields(alone))) == 0
    one, two = (load_energynet(url).net.state_dict() for url in (alone.out, trial_url(options.out, 2)))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)


def _shared_fields(options):
    names = [field.name for field in dataclasses.fields(TrainEnergyNetOptions)]
    return {name: getattr(options, name) for name in names}


def test_a_trial_that_diverges_is_recorded_and_the_search_goes_on(ray_local, planted, tmp_path):
    options = quick(planted, tmp_path / "out", sampler="grid")
    assert search(options, {"all": {"lr": Choice((1e30, 1e-2))}}) == 0
    lost, good = sorted(read_trials(options.out), key=lambda trial: -trial.point["lr"])
    assert (lost.status, lost.objective) == ("diverged", 0.0)
    assert "not finite" in lost.error
    assert json.loads((Path(options.out) / "best.json").read_text())["trial"] == good.number


@pytest.mark.long
def test_trials_do_not_read_the_store_again(ray_local, planted, tmp_path):
    """The store is deleted as soon as the first trial has started."""
    shutil.copytree(planted / "store", tmp_path / "store")
    options = dataclasses.replace(
        quick(planted, tmp_path / "out", trials=5, scheduler="none"), store=str(tmp_path / "store")
    )

    def remove():
        deadline_s = time.monotonic() + 200
        while not read_trials(options.out) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        shutil.rmtree(tmp_path / "store")

    thread = threading.Thread(target=remove, daemon=True)
    thread.start()
    assert search(options, {"all": SPACE}) == 0
    thread.join()
    assert not (tmp_path / "store").exists()
    assert [trial.status for trial in read_trials(options.out)] == ["finished"] * 5


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_driver_killed_twice_loses_no_trial_and_does_none_twice(ray_local, planted, spaces, tmp_path):
    options = quick(planted, tmp_path / "out", trials=6, updates=2000, look_every=200)
    seen = {}
    for kills, wanted in enumerate((1, 3)):
        options = dataclasses.replace(options, resume=kills > 0)
        _killed(options, tmp_path / "log", when=lambda trials, wanted=wanted: _over(trials) >= wanted)
        for trial in read_trials(options.out):
            if trial.status in ("finished", "stopped"):
                assert seen.setdefault(trial.number, trial) == trial
    assert 3 <= len(seen) < 6
    assert search(options, spaces) == 0
    trials = read_trials(options.out)
    assert [trial.number for trial in trials] == list(range(1, 7))
    assert {trial.status for trial in trials} <= {"finished", "stopped"}
    assert all(trials[number - 1] == trial for number, trial in seen.items())
    assert len({json.dumps(trial.point) for trial in trials}) == 6
    for trial in trials:
        rows = [json.loads(line) for line in _metrics(options, trial.number).read_text().splitlines()]
        assert [row["update"] for row in rows] == list(range(0, trial.update + 1, 200))  # 0 is the start, UnAtt
        assert [row["update"] for row in trial.rows] == list(range(200, trial.update + 1, 200))


def _metrics(options, number):
    return Path(trial_url(options.out, number)) / "energynet.train" / "metrics.jsonl"


def _over(trials):
    return sum(trial.status in ("finished", "stopped") for trial in trials)


def _killed(options, log, *, when):
    process = _start(options, log)
    deadline_s = time.monotonic() + 200
    while not when(read_trials(options.out)) and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(options, log):
    flags = ["--resume"] if options.resume else []
    for name in ("store", "split", "out", "trials", "updates", *QUICK):
        flags += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    with contextlib.closing(log.open("a")) as file:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "tune" / "search.py"), *flags],
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)},
        )


@pytest.mark.long
def test_a_search_lives_on_s3(ray_local, planted, spaces, s3, tmp_path):
    """A search on S3 has the same results as a local one. Its own process starts a Ray that knows the endpoint."""
    store = join(s3, "store")
    path = Location.at(store)
    path.fs.put(f"{planted}/store/", f"{path.path}/", recursive=True)
    local = quick(planted, tmp_path / "out", trials=3, updates=100)
    remote = dataclasses.replace(local, store=store, out=join(s3, "search"))
    with _start(remote, tmp_path / "log") as process:
        assert search(local, spaces) == 0
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert "testing-secret" not in (tmp_path / "log").read_text()
    ours, theirs = read_trials(local.out), read_trials(remote.out)
    assert [trial.number for trial in theirs] == [1, 2, 3]
    assert ours[0].objective == theirs[0].objective
    names = {name.rpartition("/")[2] for name in path.fs.find(Location.at(remote.out).path)}
    assert {"best.json", "search.md", "trials.csv", "energynet.safetensors", "progress.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
