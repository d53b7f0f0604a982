"""Trainings of a soft-attention LSTM on a store of grids: learning, resuming, several workers, scores, bad input.

The label of a video is the colour of one marked cell of each frame; the other cells carry all colours.
"""

import contextlib
import dataclasses
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attn.commands.cli import parse
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.flag_help import flag_words
from attn.commands.search.search import search
from attn.commands.search.search_plan import open_search
from attn.commands.train_soft_attention import train_soft_attention
from attn.commands.train_soft_attention_plan import make_soft_attention_training
from attn.engine.exit_codes import EXIT_UNTRAINED
from attn.errors import UsageError
from attn.models.soft_attention_file import load_soft_attention, save_soft_attention
from attn.schema import FRAME, GRID
from attn.stages.open_model import open_model
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.store import AttentionStore
from attn.storage.tensors import tensor_values
from attn.training.checkpoints import CheckpointFolder
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.search_options import SearchSoftAttentionOptions
from attn.training.search_space import Choice, Range
from attn.training.soft_attention_learner import soft_attention_learner
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.soft_attention_rows import RETRAINING, chance_loss
from attn.training.status import StatusWriter
from attn.training.trial_records import read_trials, trial_url
from attn.training.validated_rows import kept_number
from attn.video.transform import BILINEAR
from tests.stores import new_manifest, write_store

CLASSES, SIDE, MARKER = ("Hug", "Kick", "Wave"), 3, 3
SMALL = {
    "hidden_dim": 16,
    "dropout": 0.0,
    "window_frames": 3,
    "batch": 16,
    "lr": 0.02,
    "holdout_fraction": 0.2,
    "seed": 1,
}


def frames(random: np.random.Generator, label: int, count: int) -> np.ndarray:
    """Grids [frame, chan, row, col]: three colours, the marker, and a channel of noise."""
    grids = np.zeros((count, 5, SIDE * SIDE), np.float16)
    for frame in grids:
        cell, colours = random.integers(SIDE * SIDE), random.permutation(np.arange(SIDE * SIDE) % 3)
        other = np.flatnonzero(colours == label)[0]
        colours[[cell, other]] = colours[[other, cell]]
        frame[colours, np.arange(SIDE * SIDE)] = 2
        frame[MARKER, cell] = 2
        frame[4] = random.normal(size=SIDE * SIDE)
    return grids.reshape(count, 5, SIDE, SIDE)


def plant(folder, labels, columns=(GRID,)):
    """Write `store` with a video of 2 to 8 frames for each label."""
    random = np.random.default_rng(0)
    videos = {
        f"v_{CLASSES[label]}_g{i // 3 + 1:02}_c01": {GRID: frames(random, label, int(random.integers(2, 9)))}
        for i, label in enumerate(labels)
    }
    shape = {"num_channels": 5, "map_shape": (SIDE, SIDE)}
    manifest = new_manifest(class_names=CLASSES, columns=columns, preprocessing=str(BILINEAR), **shape)
    write_store(str(folder / "store"), manifest, videos, part_bytes=20_000)
    return list(videos)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Folder with `store`, `train.txt` and `test.txt`."""
    folder = tmp_path_factory.mktemp("planted")
    names = plant(folder, [i % 3 for i in range(90)])
    lines = [f"{name.split('_')[1]}/{name}.avi" for name in names]
    (folder / "train.txt").write_text("".join(f"{line} {i % 3 + 1}\n" for i, line in enumerate(lines[:66])))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in lines[66:]))
    return folder


def options_of(folder, out, **change):
    return TrainSoftAttentionOptions(
        store=str(folder / "store"), split=str(folder / "train.txt"), out=str(out), **{**SMALL, **change}
    )


@pytest.fixture(scope="module")
def trained(planted, tmp_path_factory):
    """Options of a finished training."""
    options = options_of(planted, tmp_path_factory.mktemp("trained") / "salstm", epochs=12, look_every=5)
    assert train_soft_attention(options) == 0
    return options


@pytest.fixture
def make_loop(planted, tmp_path):
    """make_loop(name, **settings): loop of one worker without Ray, with checkpoints under a name."""

    def make(name="states", **settings):
        run, job, _ = make_soft_attention_training(options_of(planted, tmp_path / "out", **settings))
        run.begin({})
        status = StatusWriter(None, rank=1)
        learner = opened.enter_context(soft_attention_learner(job, Group.alone(torch.device("cpu")), status))
        assert not isinstance(learner, UsageError), learner
        return TrainingLoop(learner, status, CheckpointFolder(str(tmp_path / name), every_s=0), run_url=job.run_url)

    with contextlib.ExitStack() as opened:
        yield make


def report_of(options):
    with open(f"{options.out}/soft_attention.train/report.json") as file:
        return json.load(file)


def test_it_learns_and_the_best_validation_is_kept(trained):
    found, report = load_soft_attention(trained.out), report_of(trained)
    assert (found.class_names, found.map_shape) == (CLASSES, (SIDE, SIDE))
    assert found.fingerprint == AttentionStore.open(trained.store).manifest.fingerprint
    with open(f"{trained.out}/soft_attention.train/metrics.jsonl") as file:
        rows = [json.loads(line) for line in file]
    accuracies = [row["validation_accuracy"] for row in rows]
    best = max(accuracies)
    assert best > 0.8
    assert report["kept_update"] == [row for row in rows if row["validation_accuracy"] == best][-1]["update"]
    per_epoch = report["updates"] // 12
    assert {number * per_epoch for number in range(1, 13)} <= {row["update"] for row in rows}
    assert len(report["held_out_videos"]) == 12
    assert not {*report["train_videos"]} & {*report["held_out_videos"]}


def test_unseen_videos_are_scored_and_their_attention_is_written(trained, planted, tmp_path):
    options = EvaluateOptions(
        store=trained.store,
        split=str(planted / "test.txt"),
        out=str(tmp_path),
        model=(f"mine={trained.out}",),
        attention=True,
    )
    assert evaluate(options) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["methods"]["mine"]["top_1"]["value"] > 0.8
    table = pq.read_table(tmp_path / "attention.parquet")
    weights = tensor_values(table["weights"], table.schema.field("weights"))
    np.testing.assert_allclose(weights.sum((1, 2)), 1, rtol=1e-5)
    grids = {
        (rows.video_id, int(frame)): grid
        for rows in AttentionStore.open(trained.store).videos([GRID])
        for frame, grid in zip(rows.frame, rows.tensors[GRID], strict=True)
    }
    tested = {line.split("/")[1][:-4] for line in (planted / "test.txt").read_text().split()}
    keys = list(zip(table["video_id"].to_pylist(), table[FRAME].to_pylist(), strict=True))
    assert sorted(keys) == sorted(key for key in grids if key[0] in tested)
    on_marker = [weight[grids[key][MARKER] > 0].item() for key, weight in zip(keys, weights, strict=True)]
    assert np.mean(on_marker) > 2 / SIDE**2  # twice as much as by chance


def test_attention_is_compared_with_boxes(trained, planted, tmp_path):
    """The left third of the frames is the left column of the grid; its share is that of the weights on file."""
    tested = [line.split("/")[1][:-4] for line in (planted / "test.txt").read_text().split()]
    (tmp_path / "boxes").mkdir()
    for video_id in tested[1:]:
        track = {"width": 30, "height": 30, "boxes": [[0, 0, 10, 30]] * 9, "acting": [0, 2]}
        (tmp_path / "boxes" / f"{video_id}.json").write_text(json.dumps(track))
    options = EvaluateOptions(
        store=trained.store,
        split=str(planted / "test.txt"),
        out=str(tmp_path / "out"),
        model=(f"mine={trained.out}",),
        attention=True,
        boxes=str(tmp_path / "boxes"),
    )
    assert evaluate(options) == 0
    table = pq.read_table(tmp_path / "out" / "attention.parquet")
    weights = tensor_values(table["weights"], table.schema.field("weights"))
    keys = zip(table["video_id"].to_pylist(), table[FRAME].to_pylist(), strict=True)
    in_box = [video_id in tested[1:] and frame < 2 for video_id, frame in keys]
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["localisation"]
    assert found["videos_without_boxes"] == 1
    figures = found["methods"]["mine"]
    assert figures["num_frames"] == sum(in_box)
    assert figures["share"] == pytest.approx(weights[in_box, :, 0].sum(1).mean())
    assert figures["chance"] == pytest.approx(1 / 3)
    for change, said in (
        ({"attention": False}, r"--boxes: compares attention weights\. Give --attention, too\."),
        ({"boxes": str(tmp_path / "nowhere")}, "nowhere: no boxes found"),
    ):
        with pytest.raises(UsageError, match=said):
            evaluate(dataclasses.replace(options, **change))
    (tmp_path / "boxes" / f"{tested[0]}.json").write_text("{}")
    with pytest.raises(UsageError, match=rf"{tested[0]}\.json: not a file of boxes"):
        evaluate(options)
    for path in (tmp_path / "boxes").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    with pytest.raises(UsageError, match=r"no boxes of .*\. Check the names\."):
        evaluate(options)


def test_attention_of_methods_that_have_none_is_refused(planted, tmp_path, trained):
    out = tmp_path / "pooled"
    assert train_soft_attention(options_of(planted, out, pooling="average", epochs=1, allow_untrained=True)) == 0
    options = EvaluateOptions(
        store=trained.store, split=str(planted / "test.txt"), out=str(tmp_path), model=(str(out),), attention=True
    )
    with pytest.raises(UsageError, match="--attention: no model has attention weights"):
        evaluate(options)
    assert not (tmp_path / "attention.parquet").exists()


def test_an_interrupted_training_ends_with_the_same_weights(make_loop, monkeypatch):
    settings = {"epochs": 4, "look_every": 4, "dropout": 0.5, "retrain": True}
    whole = make_loop("whole", **settings)
    assert whole.run() is None
    for stop in (2, len(whole.rows) - 1):  # in both trainings
        broken = make_loop(f"broken{stop}", **settings)
        with monkeypatch.context() as patch:
            patch.setattr(broken.learner, "is_over", lambda rows, stop=stop: len(rows) == stop)
            assert broken.run() is None
        again, told = make_loop(f"broken{stop}", **settings), {}
        with monkeypatch.context() as patch:
            patch.setattr(again._progress, "update", lambda told=told, **changes: told.update({**changes, **told}))
            assert again.run() is None
        assert told["resumed"] == stop
        assert [row["loss"] for row in again.rows] == [row["loss"] for row in whole.rows]
        for mine, its in ((again.learner.kept, whole.learner.kept), (weights_of(again), weights_of(whole))):
            torch.testing.assert_close(mine, its, rtol=0, atol=0)


def weights_of(loop):
    return loop.learner.net.state_dict()


def test_training_again_on_all_videos_ends_at_the_loss_of_the_best_validation(make_loop):
    loop = make_loop(epochs=6, look_every=3, retrain=True)
    assert loop.run() is None
    first = [row for row in loop.rows if not row[RETRAINING]]
    second = loop.rows[len(first) :]
    goal = first[kept_number(first) - 1]["cross_entropy"]
    assert second[-1]["cross_entropy"] <= goal < min(row["cross_entropy"] for row in second[:-1])
    assert second[-1]["update"] < loop.learner.job.total
    torch.testing.assert_close(loop.learner.kept, weights_of(loop), rtol=0, atol=0)
    table = loop.learner.job.all_videos
    assert len(loop.learner.trainer._data.windows) == len(loop.learner.job.windows(table))
    assert len(table.video_ids) == 66


@pytest.mark.long  # by default, threads: tests/training/test_soft_attention_training.py
def test_two_workers_train_as_one(planted, tmp_path):
    # Adam would enlarge the rounding of gradients that are 0, such as those of the bias of the attention.
    steps = {"optimizer": "sgd", "lr": 1.0, "attention_penalty": 1.0, "allow_untrained": True}
    both = options_of(planted, tmp_path / "two", epochs=2, workers=2, **steps)
    alone = dataclasses.replace(both, workers=1, out=str(tmp_path / "one"))
    for options in (both, alone):
        assert train_soft_attention(options) == 0
    first, second = (load_soft_attention(options.out).net.state_dict() for options in (both, alone))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    figures = [report_of(options)["validation_accuracy"] for options in (both, alone)]
    assert figures[0] == figures[1]


def test_videos_of_several_classes_or_none(planted, tmp_path):
    names = [line.split()[0].split("/")[1][:-4] for line in (planted / "train.txt").read_text().splitlines()]
    rows = [f"{name},{name.split('_')[1]}" for name in names[:-6]] + [f"{name}," for name in names[-6:]]
    (tmp_path / "table.csv").write_text("\n".join(["video_id,labels", *rows, f"{names[0]},Wave"]))
    options = dataclasses.replace(
        options_of(planted, tmp_path / "out", epochs=12),
        split=str(tmp_path / "table.csv"),
        store=str(planted / "store"),
    )
    assert train_soft_attention(options) == 0
    assert load_soft_attention(options.out).net.architecture.multi_label
    assert report_of(options)["validation_map"] > 0.6  # about 0.35 by chance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_frames": 20}, "--window-frames 20: a window needs 20 frames, but the longest training video of"),
        ({"cache": "s3://bucket/folder"}, "--cache s3://bucket/folder: not a local folder"),
        ({"workers": 0}, "--workers 0: must be at least 1"),
        ({"fps": 6, "window_frames": 3}, "--window-frames 3: a window needs 11 frames, but the longest training video"),
        ({"dropout": 1.0}, "--dropout 1.0: must be from 0 to below 1"),
    ],
)
def test_flags_that_are_refused(planted, tmp_path, change, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        make_soft_attention_training(options_of(planted, tmp_path / "out", **change))


def test_a_store_without_grids_is_refused(planted, tmp_path, request):
    maps = request.getfixturevalue("planted_maps")
    options = dataclasses.replace(options_of(planted, tmp_path / "out"), store=maps)
    with pytest.raises(
        UsageError, match=r"lacks grid\. Run precompute into another folder with --columns features logits maps grid"
    ):
        make_soft_attention_training(options)


@pytest.fixture(scope="module")
def planted_maps(tmp_path_factory):
    from tests.stores import plant as plant_maps

    plant_maps(folder := tmp_path_factory.mktemp("maps"))
    return str(folder / "store")


def test_grids_that_are_not_finite_are_named(planted, tmp_path):
    videos = {rows.video_id: dict(rows.tensors) for rows in AttentionStore.open(str(planted / "store")).videos([GRID])}
    name = "v_Kick_g05_c01"
    videos[name] = {GRID: np.full_like(videos[name][GRID], np.nan)}
    write_store(str(tmp_path / "store"), AttentionStore.open(str(planted / "store")).manifest, videos)
    options = dataclasses.replace(options_of(planted, tmp_path / "out"), store=str(tmp_path / "store"))
    with pytest.raises(UsageError, match=rf"grid of {name}, frame 0, contain NaN"):
        train_soft_attention(options)
    assert not (tmp_path / "out" / "soft_attention.train").exists()


def test_a_training_without_progress_ends_with_code_4(planted, tmp_path, caplog):
    options = options_of(planted, tmp_path / "out", epochs=1, lr=1e-9)
    assert train_soft_attention(options) == EXIT_UNTRAINED
    assert "untrained: the training loss is 1.0" in caplog.text


def test_a_learning_rate_that_is_too_high(planted, tmp_path):
    with pytest.raises(UsageError, match=r"not finite.*Lower --lr"):
        train_soft_attention(options_of(planted, tmp_path / "out", lr=1e30, optimizer="sgd"))


def test_recordings_of_videos_with_several_classes_stay_together(planted, tmp_path):
    """Clips of one recording differ in their first class."""
    names = [line.split()[0].split("/")[1][:-4] for line in (planted / "train.txt").read_text().splitlines()]
    rows = [f"{name},{CLASSES[i % 3]},place {i // 4}" for i, name in enumerate(names)]
    (tmp_path / "table.csv").write_text("\n".join(["video_id,labels,group", *rows, f"{names[0]},Wave,place 0"]))
    options = dataclasses.replace(options_of(planted, tmp_path / "out"), split=str(tmp_path / "table.csv"))
    job = make_soft_attention_training(options)[1]
    place = {name: i // 4 for i, name in enumerate(names)}
    train, held_out = ({place[name] for name in table.video_ids} for table in (job.train, job.held_out))
    assert held_out
    assert not train & held_out


def test_the_cache_of_the_grids_does_not_depend_on_what_is_held_out(planted, tmp_path):
    jobs = [make_soft_attention_training(options_of(planted, tmp_path / "out", seed=seed))[1] for seed in (1, 2)]
    assert jobs[0].held_out.video_ids != jobs[1].held_out.video_ids
    assert jobs[0].all_videos.video_ids == jobs[1].all_videos.video_ids
    for job in jobs:
        for table in (job.train, job.held_out):
            windows, everything = job.windows(table), job.all_videos
            first = dict(zip(everything.video_ids, everything.first_row.tolist(), strict=True))
            starts = [first[table.video_ids[video]] for video in windows.video]
            assert (windows.first_row >= starts).all()


@pytest.mark.parametrize(
    "edit",
    [
        {"store": 5},
        {"store": {"sampling": {}}},
        {"store": {"backbone": 3}},
        {"train_videos": 5},
        {"settings": {"last_steps": 2.5}},
        {"settings": {"window_stride": 10**30}},
        {"settings": {"window_frames": 60_000, "batch": 60_000}},
        {"settings": {"test_aggregation": "median"}},
        {"settings": {"other": 1}},
        {"settings": 7},
    ],
    ids=str,
)
def test_files_with_impossible_records_are_refused(trained, tmp_path, edit):
    found = load_soft_attention(trained.out)
    save_soft_attention(str(tmp_path), dataclasses.replace(found, trained={**found.trained, **edit}))
    with pytest.raises(UsageError, match="not a soft-attention LSTM, or incomplete"):
        open_model(str(tmp_path))


def test_the_loss_of_class_frequencies():
    one = chance_loss(np.array([0, 0, 2]), np.array([2, 1, 1]))
    assert one == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    several = chance_loss(np.array([[1, 1], [0, 1], [1, 1]], bool), np.array([1, 3, 0]))
    assert several == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))


SPACE = {"lr": Range(0.005, 0.05, log=True), "pooling": Choice(("attention", "max")), "attention_penalty": Range(0, 1)}


@pytest.mark.long  # by default, a search of a TSRNet, whose trials are the same but for the network
@pytest.mark.timeout(300)
def test_a_search_finds_settings_with_which_a_training_gives_the_same_weights(ray_local, planted, tmp_path):
    flags = ["--store", str(planted / "store"), "--split", str(planted / "train.txt"), "--holdout-fraction", "0.2"]
    small = flag_words(SoftAttentionConfig, {**SMALL, "epochs": 10})
    options = parse(
        SearchSoftAttentionOptions,
        None,
        ["--model", "soft_attention", "--trials", "4", *small, *flags, "--out", str(tmp_path / "search")],
    )
    assert search(options, {"all": SPACE}) == 0
    trials = {trial.number: trial for trial in read_trials(options.out)}
    assert {trial.status for trial in trials.values()} <= {"finished", "stopped"}
    assert all(not trial.point.get("attention_penalty") for trial in trials.values() if trial.point["pooling"] == "max")
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    assert best["validation_accuracy"] == max(one.objective for one in trials.values() if one.status == "finished")
    assert "# Search for the settings of a soft-attention LSTM" in (tmp_path / "search" / "search.md").read_text()

    config = ["--config", str(tmp_path / "search" / "best.json")]
    alone = parse(TrainSoftAttentionOptions, None, [*config, *flags, "--out", str(tmp_path / "alone"), "--seed", "1"])
    assert train_soft_attention(alone) == 0
    found, expected = (load_soft_attention(url).net for url in (alone.out, trial_url(options.out, best["trial"])))
    for name, weights in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], weights, rtol=0, atol=0)


def test_a_trial_is_the_training_with_its_settings(planted, tmp_path):
    flags = {name: str(planted / file) for name, file in (("store", "store"), ("split", "train.txt"))}
    options = SearchSoftAttentionOptions(model="soft_attention", **flags, out=str(tmp_path / "search"), **SMALL)
    point = {"lr": 0.02, "pooling": "max", "attention_penalty": 0.0}
    with open_search(options, {"all": SPACE}) as plan:
        trial = plan.training.variant(str(tmp_path / "alone"), point)
    run, job, _ = make_soft_attention_training(options_of(planted, tmp_path / "alone", **point))
    assert trial.run.decisive == run.decisive
    for field in dataclasses.fields(SoftAttentionConfig):
        assert getattr(trial.job.options, field.name) == getattr(job.options, field.name)
    assert trial.job.train.video_ids == job.train.video_ids


@pytest.mark.long
@pytest.mark.timeout(600)
def test_trials_of_two_workers_are_searched(ray_local, planted, tmp_path):
    options = SearchSoftAttentionOptions(
        model="soft_attention",
        store=str(planted / "store"),
        split=str(planted / "train.txt"),
        out=str(tmp_path / "search"),
        **{**SMALL, "epochs": 2},
        trials=2,
        workers=2,
    )
    assert search(options, {"all": SPACE}) == 0
    assert [trial.status for trial in read_trials(options.out)] == ["finished", "finished"]


def test_settings_that_decide_the_length_of_a_trial_are_not_searched(planted, tmp_path):
    urls = {"store": str(planted / "store"), "split": str(planted / "train.txt"), "out": str(tmp_path / "out")}
    options = SearchSoftAttentionOptions(model="soft_attention", **urls)
    for name, said in (("batch", "batch: cannot be searched"), ("embedding_dim", "embedding_dim: cannot be searched")):
        with pytest.raises(UsageError, match=said), open_search(options, {"all": {name: Choice((1, 2))}}):
            pass
    retrained = dataclasses.replace(options, retrain=True)
    with pytest.raises(UsageError, match="--retrain: not used in"), open_search(retrained, {"all": SPACE}):
        pass
