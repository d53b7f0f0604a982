"""Complete trainings of an EnergyNet on a local Ray."""

import contextlib
import dataclasses
import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.train_energynet import train_energynet, validation_line
from attn.errors import UsageError
from attn.models.energynet_file import load_energynet
from attn.storage.store import AttentionStore
from attn.training.early_stop import kept_look
from attn.training.energynet_options import TrainEnergyNetOptions

ROOT = Path(__file__).parents[3]


# A training that takes seconds.
QUICK = {
    "candidates_initial": 32,
    "candidates_final": 64,
    "num_hard": 16,
    "lr": 0.01,
    "holdout_fraction": 0.25,
    "start_share": 0.5,  # the planted signal is learnt from fewer videos than the default supposes
}


def quick(planted, out, **change):
    return TrainEnergyNetOptions(
        store=str(planted / "store"), split=str(planted / "train.txt"), out=str(out), **{**QUICK, **change}
    )


@pytest.fixture
def options(planted, tmp_path):
    return quick(planted, tmp_path / "energynet", updates=120, look_every=40)


@pytest.fixture(scope="module")
def trained(planted, tmp_path_factory):
    """Options of a finished training that was started with relative paths."""
    folder = tmp_path_factory.mktemp("trained")
    options = quick(planted, folder / "energynet", updates=400, look_every=100)
    store, split = (os.path.relpath(path, folder) for path in (options.store, options.split))
    with contextlib.chdir(folder):
        assert train_energynet(dataclasses.replace(options, store=store, split=split, out="energynet")) == 0
    return options


def folder_of(options):
    return Path(options.out) / "energynet.train"


def rows_of(options):
    path = folder_of(options) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report_of(options):
    return json.loads((folder_of(options) / "report.json").read_text())


def test_it_learns_and_its_folder_holds_all_that_scoring_needs(trained, planted):
    found = load_energynet(trained.out)
    assert found.class_names == ("Hug", "Kick", "Wave")
    assert found.fingerprint == AttentionStore.open(trained.store).manifest.fingerprint
    assert found.map_shape == (4, 4)
    assert found.trained["validation_accuracy"] == 1.0
    assert found.trained["concepts"] == {"aggregation": "onehot", "dim": 3}
    torch.testing.assert_close(found.net.concept_vectors, torch.eye(3))
    assert {path.name.split(".")[0] for path in folder_of(trained).iterdir()} == {"run", "metrics", "report", "events"}
    rows = rows_of(trained)
    assert [row["update"] for row in rows] == [0, 100, 200, 300, 400]
    assert rows[-1]["random_ranking"] < rows[0]["random_ranking"]


def test_the_map_scale_is_that_of_the_videos_that_are_learnt_from(trained):
    learnt = set(report_of(trained)["train_videos"])
    maps = [rows.maps for rows in AttentionStore.open(trained.store).videos(["maps"]) if rows.video_id in learnt]
    rms = math.sqrt(np.mean(np.concatenate([video.reshape(-1) for video in maps]).astype(np.float64) ** 2))
    assert float(load_energynet(trained.out).net.map_scale) == pytest.approx(rms, rel=1e-6)


def test_no_test_video_gets_in_and_held_out_ones_are_not_learnt_from(trained, planted):
    report = report_of(trained)
    learnt, held = (set(report[key]) for key in ("train_videos", "held_out_videos"))
    tested = {Path(line).stem for line in (planted / "test.txt").read_text().splitlines()}
    assert not learnt & tested
    assert not held & tested
    assert not learnt & held
    assert (len(learnt), len(held)) == (18, 6)


def test_the_last_look_that_is_not_worse_is_kept(trained):
    rows, report = rows_of(trained), report_of(trained)
    kept = kept_look([row["validation_accuracy"] for row in rows], 6)
    assert report["kept_update"] == rows[kept - 1]["update"]


def test_a_finished_training_is_not_done_again_and_another_is_refused(trained, caplog):
    with caplog.at_level(logging.INFO):
        assert train_energynet(trained) == 0
    assert "is already finished: validation accuracy 1.000" in caplog.text
    with pytest.raises(UsageError, match=r"energy_margin: 2.0 here, 1.0 there"):
        train_energynet(dataclasses.replace(trained, energy_margin=2.0))


def test_out_of_fold_it_learns_from_those_maps_and_its_store_need_not_have_any(trained, by_fold, tmp_path):
    """The maps are those of the first training, in other stores and another order."""
    out_of_fold = dataclasses.replace(
        trained, store=by_fold.bare, out_of_fold=by_fold.folds[::-1], out=str(tmp_path / "energynet")
    )
    assert train_energynet(out_of_fold) == 0
    found, expected = load_energynet(out_of_fold.out), load_energynet(trained.out)
    for name, weight in expected.net.state_dict().items():
        torch.testing.assert_close(found.net.state_dict()[name], weight, rtol=0, atol=0)
    assert found.fingerprint == expected.fingerprint
    fingerprints = sorted(AttentionStore.open(url).manifest.fingerprint for url in by_fold.folds)
    for record in (found.trained, report_of(out_of_fold)):
        assert (record["map_source"], record["map_fingerprints"]) == ("out_of_fold", fingerprints)
    assert report_of(trained)["map_source"] == "same_cnn"
    assert report_of(trained)["map_fingerprints"] == [expected.fingerprint]
    assert train_energynet(dataclasses.replace(out_of_fold, out_of_fold=by_fold.folds)) == 0  # in any order
    with pytest.raises(UsageError, match=r"other options \(out_of_fold: null here, \{"):
        train_energynet(dataclasses.replace(out_of_fold, store=trained.store, out_of_fold=()))
    with pytest.raises(UsageError, match=r"other options \(out_of_fold: \{[^;]* here, null there\)"):
        train_energynet(dataclasses.replace(trained, out_of_fold=by_fold.folds))


def test_the_evaluation_scores_with_it_and_with_svms(trained, planted, tmp_path):
    options = EvaluateOptions(
        store=trained.store,
        split=str(planted / "test.txt"),
        out=str(tmp_path / "scores"),
        methods=("unatt", "energynet", "svm"),
        energynet=trained.out,
        train_split=trained.split,
        window=2,
    )
    assert evaluate(options) == 0
    methods = json.loads((tmp_path / "scores" / "metrics.json").read_text())["methods"]
    accuracy = {name: found["top_1"]["value"] for name, found in methods.items()}
    assert accuracy["energynet"] == 1.0
    assert accuracy["svm"] == 1.0
    assert accuracy["unatt"] < 0.9
    with pytest.raises(UsageError, match=r"and in --train-split .*Test only on unseen"):
        evaluate(dataclasses.replace(options, methods=("svm",), train_split=options.split))
    with pytest.raises(UsageError, match=r"and in --energynet .*Test only on unseen"):
        evaluate(dataclasses.replace(options, methods=("energynet",), split=trained.split))
    with pytest.raises(UsageError, match="requires --energynet"):
        evaluate(dataclasses.replace(options, energynet=None))


def test_a_store_of_another_cnn_is_refused(trained, planted, write_store, tmp_path):
    manifest = dataclasses.replace(AttentionStore.open(trained.store).manifest, weights_sha256="1" * 64)
    rng = np.random.default_rng(0)
    names = [Path(line).stem for line in (planted / "test.txt").read_text().splitlines()]
    frames = {
        "maps": rng.random((2, 3, 4, 4)).astype(np.float16),
        "features": rng.random((2, 4)).astype(np.float16),
        "logits": rng.random((2, 3)).astype(np.float32),
    }
    other = write_store(str(tmp_path / "other"), manifest, dict.fromkeys(names, frames))
    options = EvaluateOptions(
        store=other,
        split=str(planted / "test.txt"),
        out=str(tmp_path / "scores"),
        methods=("energynet",),
        energynet=trained.out,
    )
    with pytest.raises(
        UsageError, match=rf"fingerprint {load_energynet(trained.out).fingerprint}, .*so the CNN or the settings differ"
    ):
        evaluate(options)


@pytest.fixture(scope="module")
def by_one_worker(planted, tmp_path_factory):
    """Options of a finished training with few updates and only mined negatives."""
    options = quick(planted, tmp_path_factory.mktemp("one") / "energynet", updates=120, look_every=40, num_random=0)
    assert train_energynet(options) == 0
    return options


@pytest.mark.parametrize("memory_gb", [pytest.param(None, marks=pytest.mark.long), 1e-6])
def test_two_workers_learn_what_one_learns(by_one_worker, tmp_path, memory_gb):
    """Also if the maps do not fit into memory, so that each worker holds its share of the videos on disk."""
    two = dataclasses.replace(by_one_worker, out=str(tmp_path / "two"), workers=2, map_memory_gb=memory_gb)
    assert train_energynet(two) == 0
    first, second = (load_energynet(one.out).net.state_dict() for one in (by_one_worker, two))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-5)


def test_relative_paths_mean_those_of_the_folder_it_was_started_in(trained):
    assert Path(trained.out).is_absolute()
    assert Path(trained.out, "energynet.safetensors").exists()


def test_a_loss_that_is_not_finite_leaves_nothing_behind(options):
    """The row of the start is written before the first update; the same --out must take another --lr."""
    with pytest.raises(UsageError, match="the loss is not finite at update"):
        train_energynet(dataclasses.replace(options, lr=1e30, weight_decay=0.0, allow_untrained=True))
    assert not Path(options.out).exists() or not list(Path(options.out).iterdir())


def test_without_a_video_to_spare_nothing_is_held_out_and_the_last_state_is_kept(options, caplog):
    few = dataclasses.replace(options, fraction=0.1)
    with caplog.at_level(logging.INFO):
        assert train_energynet(few) == 0
    report = report_of(few)
    assert (len(report["train_videos"]), report["held_out_videos"]) == (6, [])
    assert report["kept_update"] == 120
    assert report["validation_accuracy"] is None
    assert "no videos held out" in caplog.text


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_killed_driver_goes_on_where_it_stopped(options, tmp_path):
    """The resumed training ends with the weights of an uninterrupted one."""
    unbroken = dataclasses.replace(options, out=str(tmp_path / "unbroken"), updates=3000, look_every=200, patience=0)
    killed = dataclasses.replace(unbroken, out=str(tmp_path / "killed"))
    process = _start(killed)
    deadline_s = time.monotonic() + 400
    while len(rows_of(killed)) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = len(rows_of(killed))
    assert 3 <= before < 15
    with _start(killed) as process:
        assert train_energynet(unbroken) == 0
    assert process.returncode == 0
    log = (tmp_path / "killed.log").read_text()
    assert "resuming after update" in log
    assert [row["update"] for row in rows_of(killed)] == list(range(0, 3001, 200))
    first, second = (load_energynet(one.out).net.state_dict() for one in (killed, unbroken))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-6)


def _start(options):
    flags = [
        f"--{name.replace('_', '-')}={getattr(options, name)}"
        for name in (
            *("store", "split", "out", "updates", "patience", "lr"),
            *("look_every", "candidates_initial", "candidates_final", "num_hard", "holdout_fraction", "start_share"),
        )
    ]
    with contextlib.closing(Path(f"{options.out}.log").open("a")) as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "jobs" / "train_energynet.py"), *flags],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)},
        )


def test_a_look_without_held_out_videos_says_nothing_of_them():
    row = {"update": 500, "loss": 1.5, "random_ranking": 0.9, "random_triplet": 0.4, "candidates": 128}
    row |= {"validation_accuracy": None, "validation_shortfall": None, "updates_per_s": 100.0}
    assert validation_line([row], 1000) == (
        "loss 1.500, random 0.900 + 0.400, 128 candidates, 100 updates/s, ETA 0:00:05"
    )
