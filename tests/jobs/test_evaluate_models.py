"""`jobs/evaluate.py --model`: models of any kind by name, and stores of other classes than the split list's."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

from attn.commands.cli import parse
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, load_energynet, save_energynet
from attn.models.tensors_file import Kind, write_tensors
from attn.stages.open_model import LOADERS, TrainedModel
from attn.stages.scoring import EnergyNetScore
from attn.storage.store import AttentionStore

CLASSES, OTHERS = ("Hug", "Kick", "Wave"), ("tench", "balance beam", "kick", "hug")


@pytest.fixture
def job(planted, tmp_path):
    """job(*flags): metrics and scores (method → [video, cls]) of the script with these flags."""

    def run(*flags, store=planted / "store", split=planted / "test.txt"):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        argv = ["--store", store, "--split", split, "--out", out, *flags]
        assert evaluate(parse(EvaluateOptions, "", list(map(str, argv)))) == 0
        frame = pl.read_parquet(out / "scores.parquet")
        scores = {name: of["scores"].to_numpy() for (name,), of in frame.group_by("method", maintain_order=True)}
        return json.loads((out / "metrics.json").read_text()), scores

    return run


@pytest.fixture
def net(planted, tmp_path):
    """net(name, seed, …): URL of an EnergyNet of random weights for the planted store."""
    fingerprint = AttentionStore.open(str(planted / "store")).manifest.fingerprint

    def make(name, seed=0, **change):
        torch.manual_seed(seed)
        made = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6).eval()
        trained = TrainedEnergyNet(made, CLASSES, (4, 4), fingerprint)
        save_energynet(url := str(tmp_path / name), dataclasses.replace(trained, **change))
        return url

    return make


def test_two_energynets_stand_side_by_side_under_their_names(job, net, planted):
    one, two = net("one", 1), net("lr=1", 2)  # a folder with = in its URL is not a name
    metrics, scores = job("--methods", "cnn", "--model", f"a={one}", f"b={two}/energynet.safetensors", two)
    assert list(metrics["methods"]) == ["cnn", "cnn_softmax", "cnn_average", "a", "b", "energynet"]
    assert {"a - cnn", "b - cnn"} <= metrics["paired"].keys()
    np.testing.assert_array_equal(scores["b"], scores["energynet"])
    tested = {Path(line).stem for line in (planted / "test.txt").read_text().splitlines()}
    videos = {rows.video_id: rows for rows in AttentionStore.open(str(planted / "store")).videos(["maps"])}
    for name, url in (("a", one), ("b", two)):
        scorer = EnergyNetScore(load_energynet(url).net)
        expected = [scorer(videos[video_id]) for video_id in sorted(tested)]
        np.testing.assert_allclose(scores[name], expected, rtol=1e-6)


def test_the_flag_of_a_kind_is_an_alias(job, net):
    url = net("net")
    old, old_scores = job("--methods", "cnn", "energynet", "--energynet", url)
    for model in (url, f"energynet={url}/energynet.safetensors"):
        new, new_scores = job("--methods", "cnn", "--model", model)
        assert {**new, "options": None} == {**old, "options": None}
        assert all((new_scores[name] == values).all() for name, values in old_scores.items())


def test_models_alone_replace_the_methods_and_can_be_calibrated(job, net, planted):
    url = net("net")
    metrics, _ = job("--model", url)
    assert list(metrics["methods"]) == ["energynet"]
    assert metrics["options"]["methods"] == []
    metrics, _ = job("--model", f"a={url}", "--calibrate", planted / "store")
    assert list(metrics["methods"]) == ["a", "a_calibrated"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["{}", "{}"], r"^--model: energynet would be the name of two sets of scores\. Give each model a name: NAME="),
        (["a={}", "a={}"], "^--model: a would be"),
        (["cnn={}", "--methods", "cnn"], "^--model: cnn would be"),
        (["unatt_calibrated={}", "--methods", "unatt", "--calibrate", "STORE"], "^--model: unatt_calibrated would be"),
        (["a="], r"^--model a=: no URL\. Give NAME=URL"),
        (["={}"], r"^--model =.*: no name\. Give NAME=URL"),
        (["a=/nowhere.safetensors"], r"^/nowhere\.safetensors: does not exist"),
    ],
)
def test_names_that_are_missing_or_given_twice_are_refused(job, net, planted, tmp_path, flags, said):
    url = net("net")
    with pytest.raises(UsageError, match=said):
        job("--model", *(str(planted / "store") if flag == "STORE" else flag.format(url) for flag in flags))
    assert not list(tmp_path.glob("out*"))


def test_a_checkpoint_votes_on_the_stores_of_its_cnn_only(job, planted, tmp_path, write_store):
    url = str(tmp_path / "some.safetensors")
    sha256 = save_checkpoint(url, Cnn(build_backbone("small_cnn", 3), "small_cnn", CLASSES))
    store = AttentionStore.open(str(planted / "store"))
    videos = {rows.video_id: rows.tensors for rows in store.videos(store.manifest.columns)}
    own = write_store(str(tmp_path / "own"), dataclasses.replace(store.manifest, weights_sha256=sha256), videos)
    metrics, scores = job("--model", url, store=own)
    assert list(metrics["methods"]) == ["cnn"]
    np.testing.assert_array_equal(scores["cnn"], job("--methods", "cnn")[1]["cnn"])
    with pytest.raises(UsageError, match=r"made with another weights_sha256\. Precompute the videos with --weights"):
        job("--model", url)


@pytest.fixture
def other_store(planted, tmp_path, write_store):
    """Store of the planted videos by a CNN of other classes: features, and logits if asked for.

    Some videos have a label, the third of these classes.
    """

    def make(*columns, class_names=OTHERS):
        store = AttentionStore.open(str(planted / "store"))
        manifest = dataclasses.replace(store.manifest, class_names=class_names, columns=("features", *columns))
        videos = {rows.video_id: {"features": rows.tensors["features"]} for rows in store.videos(["features"])}
        for tensors in videos.values() if columns else ():
            tensors["logits"] = np.ones((len(tensors["features"]), len(class_names)), np.float32)
        labels = {video_id: 2 for video_id in videos if "_Kick_" in video_id}
        return write_store(str(tmp_path / "other"), manifest, videos, labels=labels)

    return make


def test_svms_need_no_classes_of_the_store(job, planted, other_store):
    flags = ["--methods", "svm", "--train-split", planted / "train.txt"]
    expected, scores = job(*flags)
    found, of_others = job(*flags, store=other_store())
    np.testing.assert_array_equal(scores["svm"], of_others["svm"])
    assert found["methods"] == expected["methods"]
    assert found["relabelled"]["videos"] == 0  # its labels are about other classes


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--methods", "cnn"], r"class 'Wave' is not among the 4 class names of .*other, which --methods cnn scores\."),
        (
            ["--methods", "cnn", "svm", "--train-split", "TRAIN"],
            r"^--methods svm: scores the classes of .*train\.txt, but --methods cnn scores those of .*other \(not in "
            r"both: Hug, Kick, Wave, balance beam, hug and 2 more\)\. Evaluate them separately\.",
        ),
        (["--methods", "unatt"], r"other: the store lacks maps\. Run precompute into another"),
    ],
)
def test_methods_of_the_stores_classes_refuse_lists_of_others(job, planted, other_store, tmp_path, flags, said):
    store = other_store("logits")
    with pytest.raises(UsageError, match=said):
        job(*(planted / "train.txt" if flag == "TRAIN" else flag for flag in flags), store=store)
    assert not list(tmp_path.glob("out*"))


class Nearest:
    """Negative distance of the mean features from the centre of each class: a kind that the project does not have."""

    name, columns, calibrated = "nearest", ("features",), False
    definition = "negative distance of the mean features from the centre of the class"

    def __init__(self, centres):
        self.centres = centres.numpy()

    def __call__(self, rows):
        features = rows.tensors["features"].astype(np.float32).mean(0)
        return -np.linalg.norm(features - self.centres, axis=1)


def open_nearest(file):
    said = json.loads(file.text)
    return TrainedModel("nearest", tuple(said["class_names"]), Nearest(file.tensors["centres"]))


@pytest.fixture
def nearest(planted, tmp_path, monkeypatch):
    """URL of a model of that kind, which is registered in the table."""
    monkeypatch.setitem(LOADERS, "nearest", open_nearest)
    url = str(tmp_path / "nearest" / "nearest.safetensors")
    centres = 3 * torch.eye(4)[:3]
    write_tensors(url, {"centres": centres}, json.dumps({"class_names": CLASSES}), Kind("nearest", 1, "0.1.0"))
    return str(tmp_path / "nearest")


def test_a_new_kind_is_a_line_of_the_table(job, nearest, other_store, tmp_path):
    for store, flags in ((other_store(), ()), (None, ("--methods", "cnn"))):
        metrics, scores = job(*flags, "--model", f"mine={nearest}", **({"store": store} if store else {}))
        assert metrics["methods"]["mine"]["top_1"]["value"] == 1
        assert metrics["methods"]["mine"]["method"] == Nearest.definition
        assert scores["mine"].shape == (12, 3)
    schema = pq.read_schema(sorted(tmp_path.glob("out*"))[0] / "scores.parquet")
    assert json.loads(schema.metadata[b"class_names"]) == list(CLASSES)


def test_models_of_other_classes_than_a_method_are_evaluated_separately(job, nearest, other_store):
    store = other_store("logits", class_names=CLASSES[::-1])
    with pytest.raises(UsageError, match=r"--model .*nearest: scores .* \(in another order\)\. Evaluate them sep"):
        job("--methods", "cnn", "--model", nearest, store=store)
