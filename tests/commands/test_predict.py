"""Predictions of generated clips, in this process and from a store."""

import csv
import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attn.commands import predict as job
from attn.commands.evaluate_scores import score_videos
from attn.commands.predict import computed_rows, predict, rows_of, stored_rows
from attn.commands.predict_options import PredictOptions
from attn.commands.predict_overlays import FOLDER
from attn.commands.predict_plan import make_prediction_plan
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, load_energynet, save_energynet
from attn.models.model_file import Model, save_model
from attn.models.soft_attention_file import load_soft_attention, save_soft_attention
from attn.models.tensors_file import Kind, write_tensors
from attn.schema import VIDEO_ID
from attn.stages.attention import ComputeMaps
from attn.stages.open_model import LOADERS, TrainedModel
from attn.stages.rows import record_batch
from attn.storage.failures import Failure
from attn.storage.ledger import Ledger
from attn.storage.manifest import SCORE_FIELDS
from attn.storage.store import AttentionStore, VideoRows
from attn.storage.writer import LAST, StoreWriter, travelling_schema
from attn.video.sandbox.guard import FrameReader
from tests.untrained_models import untrained

CLASSES = ("Wave", "Kick", "Hug")
CALIBRATION = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 0.5, 2.0], "videos": 9}
MODELS = ("cnn", "unatt", "calibrated", "energynet", "soft_attention", "tsrnet")


@pytest.fixture
def videos(clip_folder, tmp_path):
    """The clips in one folder, and one file that is no video."""
    root = tmp_path / "videos"
    root.mkdir()
    for path in clip_folder.rglob("*.avi"):
        shutil.copy(path, root)
    (root / "broken.avi").write_text("no video")
    return root


@pytest.fixture
def options(videos, small_weights, tmp_path):
    return PredictOptions(str(videos), (str(small_weights),), str(tmp_path / "out"), max_failed_fraction=0.2)


@pytest.fixture
def with_model(options, small_weights, tmp_path):
    """with_model(name): options for one of `MODELS`."""

    def make(name):
        if name in ("energynet", "soft_attention", "tsrnet"):
            net = untrained(name, make_prediction_plan(options)[0].manifest, str(tmp_path / name))
            return dataclasses.replace(options, model=(net, *options.model))
        if name != "calibrated":
            return dataclasses.replace(options, method=name)
        maps = make_prediction_plan(options)[0].manifest.of(SCORE_FIELDS)
        url = str(tmp_path / "model.safetensors")
        save_model(url, Model(load_checkpoint(str(small_weights)), "unatt", maps, 2, CALIBRATION))
        return dataclasses.replace(options, model=(url,))

    return make


def fill(plan):
    """The store of a plan, written by precompute's own stages without its Ray."""
    ledger = Ledger.at(plan.options.out)
    ledger.begin(plan.manifest)
    compute = ComputeMaps(plan.cnn, **plan.compute_settings, device="cpu")
    schema = travelling_schema(plan.manifest.schema)
    writer = StoreWriter(plan.options.out, plan.manifest.schema, part_bytes=1)
    with FrameReader() as reader:
        for item in plan.stage(plan.videos, reader):
            if isinstance(item, Failure):
                writer.fail(item)
            else:
                batch = record_batch(item, compute(item["image"]), schema)
                ids = batch[VIDEO_ID].to_pylist()
                cuts = [i for i in range(1, len(ids)) if ids[i] != ids[i - 1]]
                for start, stop in zip([0, *cuts], [*cuts, len(ids)], strict=True):
                    writer.add(batch.slice(start, stop - start))
    writer.flush()
    ledger.finish({})
    return AttentionStore.open(plan.options.out)


def table(options):
    return {row[VIDEO_ID]: row for row in pq.read_table(f"{options.out}/{job.PARQUET}").to_pylist()}


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_a_store_and_its_evaluation(with_model, name):
    options = with_model(name)
    assert predict(options) == 0
    rows, (plan, scorer, names) = table(options), make_prediction_plan(options)
    store = fill(plan)
    scored = score_videos(store, (scorer,), dict.fromkeys(store.video_ids, (0,)))
    assert rows.keys() == {*store.video_ids, "broken"}
    for video_id in store.video_ids:
        scores = scored.scores[video_id][scorer.name]
        found = rows[video_id]
        np.testing.assert_allclose([found[f"score_{c}"] for c in names], scores, rtol=1e-4, atol=1e-5)
        best, second = np.argsort(-scores)[:2]
        assert (found["class"], found["runner_up"]) == (names[best], names[second])
        assert found["score"] == found[f"score_{found['class']}"] == max(found[f"score_{c}"] for c in names)
    assert ("_calibrated" in scorer.name) == (name == "calibrated")


def test_many_videos_are_scored_from_their_store(options, monkeypatch):
    assert predict(options) == 0
    here = table(options)
    monkeypatch.setattr(job, "needs_no_ray", lambda videos: False)
    monkeypatch.setattr(job, "_fill_store", lambda plan: fill(plan) and 0)
    assert predict(options) == 0
    there = table(options)
    assert {name: row["class"] for name, row in here.items()} == {name: row["class"] for name, row in there.items()}
    assert [row["frames"] for row in here.values()] == [row["frames"] for row in there.values()]
    assert here["broken"] == there["broken"]
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"made from the videos of .*Choose another --out\."):
        predict(dataclasses.replace(options, videos=f"{options.videos}/*Wave*"))


def test_many_videos_are_drawn_from_their_store(options, monkeypatch):
    monkeypatch.setattr(job, "needs_no_ray", lambda videos: False)
    monkeypatch.setattr(job, "_fill_store", lambda plan: fill(plan) and 0)
    assert predict(dataclasses.replace(options, overlays=3)) == 0
    drawn = sorted(path.name for path in (Path(options.out) / FOLDER).iterdir())
    assert drawn == ["v_Kick_g05_c01.mp4", "v_Kick_g05_c01.png", "v_Wave_g04_c01.mp4", "v_Wave_g04_c01.png"]


@pytest.mark.long
def test_ray_fills_that_store(on_ray, options, monkeypatch):
    assert predict(options) == 0
    here = table(options)
    monkeypatch.setattr(job, "needs_no_ray", lambda videos: False)
    assert predict(options) == 0
    there = table(options)
    assert here.keys() == there.keys()
    for name, row in here.items():
        assert (row["class"], row["frames"], row["error"]) == tuple(
            there[name][key] for key in ("class", "frames", "error")
        )


def test_rows_are_those_of_the_store_whatever_fails_between_them(options):
    plan, scorer, _ = make_prediction_plan(options)
    small = dataclasses.replace(plan, stage=dataclasses.replace(plan.stage, batch_size=7))
    found = {item.video_id: item for item in computed_rows(small, scorer.columns)}
    fill(plan)
    for item in stored_rows(plan, scorer.columns):
        mine = found.pop(item.video_id)
        if isinstance(item, Failure):
            assert mine == dataclasses.replace(item, attempt=1)
            continue
        assert isinstance(mine, VideoRows)
        np.testing.assert_array_equal(mine.frame, item.frame)
        np.testing.assert_array_equal(mine.time_s, item.time_s)
        np.testing.assert_allclose(mine.logits, item.logits, rtol=1e-4, atol=1e-5)
    assert not found


def test_a_video_that_fails_on_its_way_leaves_no_rows(options):
    """Its first frames are in a batch already, without a last one, and those of the next video follow."""
    plan, scorer, _ = make_prediction_plan(options)
    stage = dataclasses.replace(plan.stage, batch_size=100)
    compute = ComputeMaps(plan.cnn, **{**plan.compute_settings, "columns": scorer.columns}, device="cpu")
    videos = [video for video in plan.videos if video.video_id != "broken"]
    first = videos[0].video_id
    failure = Failure(first, "", "decode", "VideoError", "cut", 1)
    with FrameReader() as reader:
        (batch,) = stage(videos, reader)
    assert not isinstance(batch, Failure)
    counts = {video_id: int((batch[VIDEO_ID] == video_id).sum()) for video_id in {*batch[VIDEO_ID]}}
    batch[LAST] &= batch[VIDEO_ID] != first
    failed, *rows = rows_of([failure, batch], compute)
    assert failed is failure
    assert {item.video_id: len(item.frame) for item in rows if isinstance(item, VideoRows)} == {
        k: n for k, n in counts.items() if k != first
    }


def test_a_broken_video_is_a_row_with_its_reason(options, capsys):
    assert predict(dataclasses.replace(options, max_failed_fraction=0.0)) == EXIT_FAILED_VIDEOS
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert [line for line in lines if "error: " in line] == [line for line in lines if line.startswith("broken ")]
    with open(f"{options.out}/{job.CSV}", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[VIDEO_ID] for row in rows] == sorted(row[VIDEO_ID] for row in rows)
    broken = rows[0]
    assert broken["error"]
    assert (broken["class"], broken["score"], broken["frames"], broken["score_Hug"]) == ("", "", "0", "")
    assert {row["error"] for row in rows[1:]} == {""}
    for row in rows[1:]:
        assert float(row["score"]) == max(float(row[f"score_{name}"]) for name in CLASSES)


def test_json_lines_have_every_score(options, capsys):
    assert predict(dataclasses.replace(options, json=True)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = {line.pop(VIDEO_ID): line for line in lines}
    for name, row in table(options).items():
        scores = told[name].pop("scores")
        assert scores == (None if row["error"] else {c: row[f"score_{c}"] for c in CLASSES})
        assert told[name] == {key: row[key] for key in told[name]}


def test_a_reader_that_leaves_does_not_cost_the_tables(options, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as left:
        monkeypatch.setattr("sys.stdout", left)
        assert predict(options) == 0
    assert len(table(options)) == 7


def test_folders_need_not_be_classes(options, videos):
    (videos / "2024").mkdir()
    shutil.move(videos / "v_Kick_g03_c01.avi", videos / "2024")
    plan, *_ = make_prediction_plan(options)
    assert {video.label for video in plan.videos} == {None}


def test_names_cannot_spoil_a_line_or_a_table(videos, tmp_path, capsys):
    names = ("score", 'a,"b"', "\x1b[31mred\n")
    url = str(tmp_path / "odd.safetensors")
    save_checkpoint(url, Cnn(build_backbone("small_cnn", 3).eval(), "small_cnn", names, 64))
    shutil.move(videos / "v_Wave_g00_c01.avi", videos / "a,\n\x1b[2Jb.avi")
    options = PredictOptions(str(videos), (url,), str(tmp_path / "out"), max_failed_fraction=0.2)
    assert predict(options) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 7
    assert "\x1b" not in told
    with open(f"{options.out}/{job.CSV}", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} <= {*names, ""}
    assert {row[VIDEO_ID] for row in rows} == table(options).keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"videos": "nothing"}, "nothing: does not exist"),
        ({"videos": "empty"}, "no files found"),
        ({"model": ("nothing.safetensors",)}, "nothing.safetensors: does not exist"),
        ({"model": ("cnn.onnx",)}, "cnn.onnx: does not exist"),
        ({"model": ("empty",)}, "Give weights as .safetensors"),
        ({"stride": 0}, "--stride 0"),
        ({"fps": -1.0}, "--fps -1"),
        ({"max_failed_fraction": 1.5}, "--max-failed-fraction 1.5"),
    ],
)
def test_flags_that_cannot_be_met_are_refused_before_any_work(options, change, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=said):
        predict(dataclasses.replace(options, **change))
    assert not (tmp_path / "out").exists()


def test_a_cnn_that_cannot_take_its_input_is_refused(options, tmp_path):
    url = str(tmp_path / "tiny.safetensors")
    save_checkpoint(url, Cnn(build_backbone("squeezenet1_1", 3).eval(), "squeezenet1_1", CLASSES, 16))
    with pytest.raises(UsageError, match="cannot process images of 16 pixels"):
        predict(dataclasses.replace(options, model=(url,)))


def test_a_window_that_does_not_fit_the_maps_is_refused(options, tmp_path):
    url = str(tmp_path / "tiny.safetensors")
    save_checkpoint(url, Cnn(build_backbone("small_cnn", 3).eval(), "small_cnn", CLASSES, 16))
    with pytest.raises(UsageError, match=r"does not fit the .* maps of"):
        predict(dataclasses.replace(options, model=(url,), method="unatt"))


def test_bare_weights_are_refused(options, small_weights, tmp_path):
    url = str(tmp_path / "bare.pth")
    torch.save(load_checkpoint(str(small_weights)).backbone.export_weights(), url)
    with pytest.raises(UsageError, match=r"does not contain its architecture and classes\. Give a checkpoint of"):
        predict(dataclasses.replace(options, model=(url,)))


def test_a_model_file_keeps_its_method_and_its_maps(with_model, small_weights, tmp_path):
    options = with_model("calibrated")
    with pytest.raises(UsageError, match="has its own method"):
        predict(dataclasses.replace(options, method="cnn"))
    maps = {**make_prediction_plan(options)[0].manifest.of(SCORE_FIELDS), "preprocessing": "of long ago"}
    url = str(tmp_path / "old.safetensors")
    save_model(url, Model(load_checkpoint(str(small_weights)), "unatt", maps))
    with pytest.raises(UsageError, match="chosen on maps of another preprocessing"):
        predict(dataclasses.replace(options, model=(url,)))


class Nearest:
    """Scorer of the features by two classes, which the CNN does not know."""

    name, columns, definition, calibrated = "nearest", ("features",), "minus the distance from a centre", False

    def __call__(self, rows):
        return -np.abs(rows.tensors["features"].astype(np.float32).mean() - np.array([0.0, 1.0]))


def test_a_new_kind_predicts_with_the_cnn_in_its_file(options, small_weights, tmp_path, monkeypatch):
    cnn, names = load_checkpoint(str(small_weights)), ("low", "high")
    monkeypatch.setitem(LOADERS, "nearest", lambda file: TrainedModel("nearest", names, Nearest(), cnn=cnn))
    write_tensors(url := str(tmp_path / "nearest.safetensors"), {}, "{}", Kind("nearest", 1, "0.1.0"))
    assert predict(dataclasses.replace(options, model=(url,))) == 0
    assert {row["class"] for row in table(options).values()} <= {*names, None}
    schema = pq.read_schema(f"{options.out}/{job.PARQUET}")
    assert json.loads(schema.metadata[b"class_names"]) == list(names)
    assert make_prediction_plan(dataclasses.replace(options, model=(url,)))[0].manifest.columns == ("features",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 7}, r"soft_attention: was trained on frames sampled in another way\. Give --stride 5\.$"),
        ({"method": "unatt"}, r"--method unatt: .*soft_attention has its own method\."),
    ],
)
def test_flags_that_do_not_fit_a_model_and_its_cnn(with_model, change, message):
    with pytest.raises(UsageError, match=message):
        predict(dataclasses.replace(with_model("soft_attention"), **change))


def test_files_that_are_no_model_with_its_cnn(with_model, options, tmp_path):
    (net, cnn), other = with_model("energynet").model, str(tmp_path / "other.safetensors")
    save_checkpoint(other, Cnn(build_backbone("small_cnn", 3).eval(), "small_cnn", CLASSES, 64))
    old = str(tmp_path / "old")
    save_energynet(old, dataclasses.replace(load_energynet(net), trained={}))
    for model, message in (
        ((net, other), r"energynet: was trained on what a CNN of another .*weights_sha256.* computes\. Give the CNN"),
        ((net, cnn, other), r"--model: several CNNs \(.*other\.safetensors\)\. Give one model with its CNN\.$"),
        ((net, old, cnn), r"--model: several models without a CNN"),
        ((old, cnn), r"old: does not say which CNN it needs"),
        ((), "--model: empty"),
        ((net, with_model("calibrated").model[0]), r"model\.safetensors: has its own method\. Leave out"),
    ):
        with pytest.raises(UsageError, match=message):
            predict(dataclasses.replace(options, model=model))


def test_the_cnn_of_a_model_of_grids_may_be_plain_weights(with_model, options, tmp_path, small_weights):
    (net, cnn), plain = with_model("soft_attention").model, str(tmp_path / "plain.pth")
    torch.save(load_checkpoint(cnn).backbone.export_weights(), plain)
    trained = load_soft_attention(net)
    store = {**trained.trained["store"], "weights_sha256": hashlib.sha256(Path(plain).read_bytes()).hexdigest()}
    save_soft_attention(net, dataclasses.replace(trained, trained={**trained.trained, "store": store}))
    assert predict(dataclasses.replace(options, model=(net, plain))) == 0
    assert {row["class"] for row in table(options).values()} <= {"Run", "Jump", None}
    with pytest.raises(UsageError, match=r"another weights_sha256"):
        predict(dataclasses.replace(options, model=(net, cnn)))


def test_a_model_without_its_cnn_is_refused(options, tmp_path):
    net = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6)
    save_energynet(str(tmp_path / "net"), TrainedEnergyNet(net, CLASSES, (4, 4), "abcdef0123456789"))
    with pytest.raises(UsageError, match=r"net: a model of kind energynet, without the CNN that it needs\. Give"):
        predict(dataclasses.replace(options, model=(str(tmp_path / "net"),)))


def test_an_out_that_is_a_file_is_refused(options, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="a file exists where a folder is needed"):
        predict(options)
