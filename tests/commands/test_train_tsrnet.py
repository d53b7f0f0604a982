"""Training of a TSRNet on planted features, and its refusals."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
import scipy.io
import torch

from attn.commands.search.search import search
from attn.commands.train_tsrnet import chance_loss, train_tsrnet
from attn.commands.train_tsrnet_plan import make_tsrnet_training
from attn.errors import UsageError
from attn.models.tsrnet_file import load_tsrnet, save_tsrnet
from attn.stages.open_model import open_model
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.store import AttentionStore
from attn.training.checkpoints import CheckpointFolder
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.search_options import SearchTsrnetOptions
from attn.training.search_space import Choice, Range
from attn.training.status import StatusWriter
from attn.training.trial_records import read_trials, trial_url
from attn.training.tsrnet_learner import initial_net, tsrnet_learner
from attn.training.tsrnet_options import TrainTsrnetOptions
from tests.untrimmed_stores import CLASSES, plant, plant_trimmed

SMALL = {
    "attention_dim": 16,
    "hidden_dim": 16,
    "dropout": 0.2,
    "num_samples": 20,
    "lr": 0.05,
    "updates": 300,
    "look_every": 60,
    "batch": 8,
    "holdout_fraction": 0.25,
    "cpus_per_worker": 1,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrimmed")
    plant(folder)
    plant_trimmed(folder)
    return folder


def options_of(folder, out, *, with_trimmed=True, **change):
    trimmed = {"trimmed": str(folder / "trimmed"), "trimmed_split": str(folder / "trimmed.txt")} if with_trimmed else {}
    given = {"store": str(folder / "store"), "labels": str(folder / "labels.csv"), "out": str(out)}
    return TrainTsrnetOptions(**{**given, **trimmed, **SMALL, **change})


@pytest.fixture(scope="module")
def trained(planted, tmp_path_factory):
    options = options_of(planted, tmp_path_factory.mktemp("trained") / "tsr")
    assert train_tsrnet(options) == 0
    return options


@pytest.fixture
def make_loop(planted, tmp_path):
    """make_loop(name, **settings): loop of one worker without Ray, with checkpoints under a name."""

    def make(name="states", **settings):
        run, job, _ = make_tsrnet_training(options_of(planted, tmp_path / name / "out", **settings))
        run.begin({})
        status = StatusWriter(None, rank=1)
        learner = opened.enter_context(tsrnet_learner(job, Group.alone(torch.device("cpu")), status))
        assert not isinstance(learner, UsageError), learner
        folder = CheckpointFolder(str(tmp_path / name), every_s=0)
        return TrainingLoop(learner, status, folder, run_url=job.run_url)

    with contextlib.ExitStack() as opened:
        yield make


def weights_of(loop):
    return {name: one.clone() for name, one in loop.learner.net.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_what_and_when_from_labels_of_videos(trained, planted):
    found = load_tsrnet(trained.out)
    with open(f"{trained.out}/tsrnet.train/report.json") as file:
        report = json.load(file)
    with open(f"{trained.out}/tsrnet.train/metrics.jsonl") as file:
        rows = [json.loads(line) for line in file]
    best = max(row["validation_map"] for row in rows)
    assert best > 0.9
    assert report["kept_update"] == [row for row in rows if row["validation_map"] == best][-1]["update"]
    assert report["labels"]["file"] == "labels.csv"
    assert report["untrained"] == []
    assert (found.class_names, found.num_samples) == (CLASSES, 20)
    assert rows[-1]["transfer"] > 0
    assert rows[-1]["sparsity"] == 1
    assert len(rows) == 5
    model = open_model(trained.out)
    assert model.kind == "tsrnet"
    assert model.unlike(AttentionStore.open(trained.store).manifest) == []


def test_two_runs_and_a_resumed_one_give_the_same_weights(make_loop, tmp_path):
    first = make_loop("one", updates=120)
    assert first.run() is None
    begun = make_loop("two", updates=60)
    assert begun.run() is None
    assert not equal(weights_of(first), weights_of(begun))
    resumed = make_loop("two", updates=120)
    assert resumed.run() is None
    assert [row["update"] for row in resumed.rows] == [60, 120]
    assert equal(weights_of(first), weights_of(resumed))
    assert equal(first.learner.kept, resumed.learner.kept)


def test_sparsity_has_no_effect_on_softmax_attention(make_loop):
    loops = [make_loop(f"beta{beta:g}", sparsity=beta, updates=60) for beta in (0.0, 1e3)]
    assert [loop.run() for loop in loops] == [None, None]
    assert equal(*map(weights_of, loops))
    sigmoids = [make_loop(f"s{beta:g}", sparsity=beta, attention="sigmoid", updates=60) for beta in (0.0, 0.1)]
    assert [loop.run() for loop in sigmoids] == [None, None]
    assert not equal(*map(weights_of, sigmoids))


def test_transfer_brings_both_kinds_together(make_loop):
    loops = {weight: make_loop(f"g{weight:g}", transfer=weight, updates=180) for weight in (0.0, 10.0)}
    for loop in loops.values():
        assert loop.run() is None
    apart = {weight: loop.rows[-1]["transfer"] for weight, loop in loops.items()}
    assert apart[10.0] < 0.8 * apart[0.0]


def test_temporal_annotations_are_refused(planted, tmp_path):
    with pytest.raises(UsageError, match=r"segments\.json: has times of actions"):
        make_tsrnet_training(options_of(planted, tmp_path, labels=str(planted / "segments.json")))
    for name in ("timed.csv", "timed.CSV", "timed.txt"):
        timed = tmp_path / name
        timed.write_text("video_id,label,start_s,end_s\nuntrimmed_000,Hug,0,1\nuntrimmed_001,Kick,0,1\n")
        with pytest.raises(UsageError, match=rf"{name}: has times of actions"):
            make_tsrnet_training(options_of(planted, tmp_path, labels=str(timed)))


def test_a_start_gives_all_but_the_classifier(trained, planted, tmp_path, make_loop):
    start = load_tsrnet(trained.out).net
    net = make_loop("start", init=trained.out, seed=5).learner.net
    assert torch.equal(net.project.weight, start.project.weight)
    assert torch.equal(net.reduce.bias, start.reduce.bias)
    assert not torch.equal(net.classify.weight, start.classify.weight)
    with pytest.raises(UsageError, match="a network of other layers or widths"):
        make_tsrnet_training(options_of(planted, tmp_path, init=trained.out, hidden_dim=8))


def test_all_frames_of_videos_of_different_length_can_be_samples(tmp_path):
    plant(tmp_path, videos=12, count=30)
    segments = AttentionStore.open(str(tmp_path / "store"))
    assert {rows for part in segments.parts for rows in part.rows.values()} == {30}
    options = options_of(
        tmp_path,
        tmp_path / "out",
        with_trimmed=False,
        num_samples="all",
        updates=20,
        look_every=20,
        allow_untrained=True,
    )
    assert train_tsrnet(options) == 0
    assert load_tsrnet(options.out).num_samples == "all"


@pytest.mark.timeout(300)
def test_a_search_finds_settings_with_which_a_training_gives_the_same_weights(ray_local, planted, tmp_path):
    settings = {name: value for name, value in SMALL.items() if name != "cpus_per_worker"}
    given = options_of(planted, tmp_path / "search", **{**settings, "updates": 60, "look_every": 30})
    options = SearchTsrnetOptions(model="tsrnet", trials=3, sampler="random", **dataclasses.asdict(given))
    space = {"lr": Range(0.005, 0.05, log=True), "attention": Choice(("softmax", "sigmoid"))}
    assert search(options, {"all": space}) == 0
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    assert best["validation_accuracy"] == max(one.objective for one in read_trials(options.out))
    found = best[TsrnetConfig.NAME]
    alone = dataclasses.replace(given, out=str(tmp_path / "alone"), allow_untrained=True, **found)
    assert train_tsrnet(alone) == 0
    expected = load_tsrnet(trial_url(options.out, best["trial"])).net.state_dict()
    assert equal(load_tsrnet(alone.out).net.state_dict(), expected)


def change_labels(folder, text):
    (folder / "other.csv").write_text(text)
    return {"labels": str(folder / "other.csv")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {"trimmed_split": None}, "--trimmed: needs --trimmed-split"),
        (lambda f: {"trimmed": None}, "--trimmed-split: needs --trimmed"),
        (lambda f: {"workers": 0}, "--workers 0: must be at least 1"),
        (lambda f: {"num_samples": 0}, "--num-samples 0: must be at least 1"),
        (lambda f: {"dropout": 1.0}, "--dropout 1.*: must be from 0 to below 1"),
        (lambda f: {"batch": 1, "estimate": "unbiased"}, "--batch 1: must be at least 2 for --estimate unbiased"),
        (
            lambda f: change_labels(f, "video_id,labels\nuntrimmed_000,Hug\nnowhere,Kick\n"),
            "1 of the 2 videos.*nowhere",
        ),
        (lambda f: change_labels(f, "video_id,labels\nuntrimmed_000,Hug\n"), "fewer than two classes"),
        (lambda f: {"classes": str(f / "classes.txt")}, r"labels\.csv, row 2: class 'Kick' is not among"),
        (lambda f: {"trimmed": str(f / "others")}, "features of another CNN"),
        (lambda f: {"trimmed_split": str(f / "strange.txt")}, "no class is among those of --labels"),
        (lambda f: {"class_map": str(f / "map.txt")}, r"map\.txt, line 1: 'Hugging' is not a class of --labels"),
        (lambda f: {"labels": str(f / "set.mat")}, "has only numbers of classes"),
    ],
    ids=lambda one: "" if callable(one) else str(one),
)
def test_bad_input_is_refused_before_anything_is_written(planted, tmp_path, change, message):
    if not (planted / "others").exists():
        plant_trimmed(planted, name="others", weights_sha256="1" * 64)
        plant_trimmed(planted)
    (planted / "classes.txt").write_text("Hug\nWave\n")
    (planted / "strange.txt").write_text("Swim/v_Hug_g01_c01.avi\n")
    (planted / "map.txt").write_text("Embrace Hugging\n")
    with pytest.raises(UsageError, match=message):
        make_tsrnet_training(options_of(planted, tmp_path / "out", **change(planted)))
    assert not (tmp_path / "out").exists()


def test_names_of_trimmed_classes_may_differ(planted, tmp_path):
    text = (planted / "trimmed.txt").read_text()
    (tmp_path / "renamed.txt").write_text(text.replace("Hug/", "Embrace/").replace("Wave/", "Swim/"))
    (tmp_path / "map.txt").write_text("Embrace\tHug\n")
    options = options_of(
        planted, tmp_path / "out", trimmed_split=str(tmp_path / "renamed.txt"), class_map=str(tmp_path / "map.txt")
    )
    _, job, _ = make_tsrnet_training(options)
    assert job.trimmed.targets.sum(0).tolist() == [10, 10, 0]
    (tmp_path / "map.txt").write_text("Embrace\tHug\nEmbrance\tKick\n")
    with pytest.raises(UsageError, match=r"map\.txt: Embrance is not a class of"):
        make_tsrnet_training(options)


def test_missing_videos_may_be_left_out(planted, tmp_path, caplog):
    text = (planted / "labels.csv").read_text() + "nowhere,Hug\n"
    (tmp_path / "more.csv").write_text(text)
    options = options_of(planted, tmp_path / "out", labels=str(tmp_path / "more.csv"), allow_missing=True)
    _, job, _ = make_tsrnet_training(options)
    assert len(job.train.video_ids) + len(job.held_out.video_ids) == 60
    assert "1 of the 61 videos" in caplog.text


def test_labels_of_thumos14_are_numbers_of_a_class_list(planted, tmp_path):
    fields = [("video_name", "untrimmed_000"), ("primary_action_index", 3), ("secondary_actions_indices", 1)]
    fields += [("background_video", "NO"), ("video_duration_seconds", 6.0), ("frame_rate_FPS", 30.0)]
    kind = [(name, object) for name, _ in fields]
    rows = [tuple(value for _, value in fields)]
    rows.append(
        tuple({"video_name": "untrimmed_001", "primary_action_index": 2}.get(name, value) for name, value in fields)
    )
    scipy.io.savemat(tmp_path / "validation_set.mat", {"validation_videos": np.array(rows, kind)})
    (tmp_path / "classInd.txt").write_text("1 Hug\n2 Kick\n3 Wave\n")
    given = {"labels": str(tmp_path / "validation_set.mat"), "holdout_fraction": 0.0}
    options = options_of(planted, tmp_path / "out", classes=str(tmp_path / "classInd.txt"), **given)
    _, job, _ = make_tsrnet_training(options)
    assert job.train.targets.tolist() == [[True, False, True], [True, True, False]]
    (tmp_path / "classInd.txt").write_text("1 Hug\n2 Kick\n")
    with pytest.raises(UsageError, match="video untrimmed_000 has class 3, but the class list has 2"):
        make_tsrnet_training(options)


def test_a_start_that_changes_after_the_plan_is_refused(trained, planted, tmp_path):
    shutil.copytree(trained.out, tmp_path / "start")
    _, job, _ = make_tsrnet_training(options_of(planted, tmp_path / "out", init=str(tmp_path / "start")))
    save_tsrnet(str(tmp_path / "start"), dataclasses.replace(load_tsrnet(trained.out), num_samples=7))
    with pytest.raises(UsageError, match="has changed since the training was planned"):
        initial_net(job)


def test_chance_is_the_entropy_of_the_label_sets():
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    assert chance_loss(targets) == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


def test_the_record_names_all_settings(planted, tmp_path):
    run, _, _ = make_tsrnet_training(options_of(planted, tmp_path / "out"))
    assert run.decisive.keys() > {field.name for field in dataclasses.fields(TsrnetConfig)}
    assert run.decisive["trimmed"]
