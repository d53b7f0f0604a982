"""Scores calibrated on unlabelled videos, from stores to result files."""

import json
import logging
import shutil

import numpy as np
import polars as pl
import pytest

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.errors import UsageError
from attn.eval.calibration import Calibration
from attn.stages.scoring import CnnAverage, UnAtt
from attn.storage.store import AttentionStore

NAMES = ("Wave", "Kick", "Hug")
TRAIN, TEST = ([f"{part}{i:02}" for i in range(12)] for part in ("train", "test"))
CALIBRATED = ["cnn_average_calibrated", "unatt_calibrated"]


def label(video_id):
    return int(video_id[-2:]) % 3


def draw(video_id):
    """Draw maps and logits in which the first class is always too strong, whatever the true class."""
    rng = np.random.default_rng(list(video_id.encode()))
    count = int(rng.integers(3, 8))
    true = np.eye(3)[label(video_id)]
    maps = rng.random((count, 3, 4, 4)) + (0.5 * true + [4, 0, 0])[:, None, None]
    return {
        "logits": (rng.normal(size=(count, 3)) * 0.5 + 2 * true + [9, 0, 0]).astype(np.float32),
        "maps": maps.astype(np.float16),
    }


@pytest.fixture
def make_store(tmp_path, new_manifest, write_store):
    """Function make_store(name, video_ids, …) that writes a store without labels; the rest goes to its manifest."""

    def make(name, video_ids, tensors=draw, **told):
        manifest = new_manifest(class_names=NAMES, **told)
        return write_store(str(tmp_path / name), manifest, {v: tensors(v) for v in video_ids}, part_bytes=3000)

    return make


@pytest.fixture
def lists(tmp_path):
    """URLs of the lists of training and test videos."""
    urls = {}
    for name, video_ids in {"train": TRAIN, "test": TEST}.items():
        path = tmp_path / f"{name}list01.txt"
        path.write_text("".join(f"{NAMES[label(v)]}/{v}.avi\n" for v in video_ids))
        urls[name] = str(path)
    return urls


def run(tmp_path, store, lists, **told):
    """Evaluate the test videos; return the metrics, the scores (method → [video, cls]) and the output folder."""
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    assert evaluate(EvaluateOptions(store, lists["test"], str(out), **told)) == 0
    frame = pl.read_parquet(out / "scores.parquet")
    scores = {name: of["scores"].to_numpy() for (name,), of in frame.group_by("method", maintain_order=True)}
    return json.loads((out / "metrics.json").read_text()), scores, out


def test_every_calibrated_method_stands_beside_its_plain_one(tmp_path, make_store, lists):
    store = make_store("store", TRAIN + TEST)
    metrics, scores, out = run(tmp_path, store, lists, calibrate=store, calibrate_lists=(lists["train"],))
    plain = ["cnn", "cnn_softmax", "cnn_average", "unatt"]
    order = ["cnn", "cnn_softmax", "cnn_average", "cnn_average_calibrated", "unatt", "unatt_calibrated"]
    assert list(metrics["methods"]) == list(scores) == order
    videos = {rows.video_id: rows for rows in AttentionStore.open(store).videos(["logits", "maps"])}
    written = json.loads((out / "calibration.json").read_text())
    for scorer in (CnnAverage(), UnAtt()):
        calibration = Calibration.fit(np.array([scorer(videos[v]) for v in TRAIN]))
        expected = calibration.apply(np.array([scorer(videos[v]) for v in TEST]))
        np.testing.assert_allclose(scores[f"{scorer.name}_calibrated"], expected, rtol=1e-5, atol=1e-5)
        definition = metrics["methods"][f"{scorer.name}_calibrated"]["method"]
        assert definition.startswith(scorer.definition)
        assert "over 12 unlabelled videos" in definition
        again = Calibration.from_record(written["methods"][scorer.name])
        np.testing.assert_allclose(again.mean, calibration.mean)
    assert written["class_names"] == list(NAMES)
    assert set(metrics["paired"]) == {
        *(f"{name} - cnn" for name in order if name != "cnn"),
        *(f"{name}_calibrated - {name}" for name in ("cnn_average", "unatt")),
    }
    assert metrics["methods"]["unatt"]["top_1"]["value"] == pytest.approx(1 / 3)  # the first class always wins
    assert metrics["methods"]["unatt_calibrated"]["top_1"]["value"] > 0.9
    without, same, other = run(tmp_path, store, lists)
    assert without["calibration"] is None
    assert all((same[name] == scores[name]).all() for name in plain)
    assert not (other / "calibration.json").exists()


def test_another_store_of_the_same_cnn_tells_the_same(tmp_path, make_store, lists):
    both, train, test = make_store("both", TRAIN + TEST), make_store("train", TRAIN), make_store("test", TEST)
    sparse = make_store("sparse", TRAIN, sampling={"stride": 25})  # fewer frames give the same scores
    _, one, _ = run(tmp_path, both, lists, calibrate=both, calibrate_lists=(lists["train"],))
    for url in (train, sparse):
        metrics, two, _ = run(tmp_path, test, lists, calibrate=url)
        assert metrics["calibration"]["store"] == {
            "url": url,
            "fingerprint": AttentionStore.open(url).manifest.fingerprint,
        }
        for name in CALIBRATED:
            np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("name", ["itself", "a copy"])
def test_calibration_by_tested_videos_is_named(tmp_path, make_store, lists, caplog, name):
    caplog.set_level(logging.INFO, "attn")
    store = make_store("store", TEST)
    other = f"{tmp_path}/./store/" if name == "itself" else shutil.copytree(store, tmp_path / "copy").as_posix()
    metrics, _, _ = run(tmp_path, store, lists, calibrate=other)
    assert metrics["calibration"]["transductive"] is True
    assert metrics["calibration"]["tested_videos"] == metrics["calibration"]["videos"] == 12
    assert "calibrated on the test videos themselves (12 of the 12" in caplog.text


def test_calibration_by_others_is_recorded_as_such(tmp_path, make_store, lists, caplog):
    caplog.set_level(logging.INFO, "attn")
    store = make_store("store", TRAIN + TEST)
    metrics, _, _ = run(tmp_path, store, lists, calibrate=store, calibrate_lists=(lists["train"],))
    found = metrics["calibration"]
    assert (found["videos"], found["tested_videos"], found["transductive"]) == (12, 0, False)
    assert [one["file"] for one in found["lists"]] == ["trainlist01.txt"]
    assert "12 unlabelled videos" in caplog.text
    assert "themselves" not in caplog.text


def test_labelled_training_videos_do_not_calibrate(tmp_path, make_store, lists):
    store, some = make_store("store", TRAIN + TEST), tmp_path / "some.txt"
    some.write_text("".join(f"{NAMES[label(v)]}/{v}.avi\n" for v in TRAIN[:6]))
    told = {"calibrate": store, "calibrate_lists": (lists["train"],), "methods": ("unatt",)}
    metrics, scores, _ = run(tmp_path, store, lists, train_split=str(some), **told)
    others = make_store("others", TRAIN[6:])
    assert metrics["calibration"]["videos"] == 6
    _, expected, _ = run(tmp_path, store, lists, calibrate=others, methods=("unatt",))
    np.testing.assert_array_equal(scores["unatt_calibrated"], expected["unatt_calibrated"])


def test_the_store_itself_is_read_once(tmp_path, make_store, lists, monkeypatch):
    store, read = make_store("store", TRAIN + TEST), []
    videos = AttentionStore.videos
    monkeypatch.setattr(AttentionStore, "videos", lambda self, columns: read.append(1) or videos(self, columns))
    run(tmp_path, store, lists, calibrate=f"{store}/")  # spelt differently
    assert read == [1]


def test_videos_that_only_calibrate_are_not_tested(tmp_path, make_store, lists):
    store = make_store("store", TRAIN + TEST)
    metrics, scores, _ = run(tmp_path, store, lists, calibrate=store)
    assert metrics["calibration"]["videos"] == 24
    assert metrics["calibration"]["tested_videos"] == 12
    assert all(len(one) == 12 for one in scores.values())


@pytest.mark.parametrize(
    ("other", "told", "says"),
    [
        ({"weights_sha256": "1" * 64}, {}, r"--calibrate .*other: does not fit --store .*weights_sha256"),
        ({"mean": (0.1, 0.5, 0.5)}, {}, r"does not fit --store .*mean: "),
        ({"alpha_reduce": "sum"}, {}, r"does not fit --store .*alpha_reduce: "),
        ({"columns": ("logits",)}, {}, r"other: the store lacks maps\. Run precompute into another"),
        ({}, {"calibrate": "nowhere"}, r"nowhere: no attention store here"),
        ({}, {"calibrate": None, "calibrate_lists": ("x",)}, r"--calibrate-lists: requires --calibrate"),
        ({}, {"calibrate_lists": ("no-list.txt",)}, r"no-list\.txt"),
        ({"video_ids": TRAIN[:2]}, {}, r"--calibrate .*other: 2 videos for 3 classes\."),
    ],
)
def test_what_cannot_calibrate_is_refused_before_any_work(tmp_path, make_store, lists, monkeypatch, other, told, says):
    monkeypatch.setattr(AttentionStore, "videos", lambda *_: pytest.fail("a store is read"))
    url = make_store("other", **{"video_ids": TRAIN, **other})
    out = tmp_path / "out"
    options = {"store": make_store("store", TEST), "split": lists["test"], "out": str(out), "calibrate": url, **told}
    with pytest.raises(UsageError, match=says) as refused:
        evaluate(EvaluateOptions(**options))
    assert "\n" not in str(refused.value)
    assert not out.exists()


def test_svms_cannot_be_calibrated(tmp_path, make_store, lists):
    def with_features(video_id):
        return {**draw(video_id), "features": np.ones((len(draw(video_id)["maps"]), 4), np.float16)}

    store = make_store("store", TEST + TRAIN, with_features, columns=("features", "logits", "maps"))
    said = r"--methods svm: cannot be calibrated\. Add cnn, unatt or energynet, or leave out"
    with pytest.raises(UsageError, match=said):
        run(tmp_path, store, lists, calibrate=store, methods=("svm",), train_split=lists["train"])


def test_a_list_of_other_videos_cannot_calibrate(tmp_path, make_store, lists):
    store = make_store("store", TEST)
    with pytest.raises(UsageError, match=r"12 of the 12 videos of .*trainlist01"):
        run(tmp_path, store, lists, calibrate=store, calibrate_lists=(lists["train"],))


def test_a_cnn_that_has_learnt_nothing_is_told_of(tmp_path, make_store, lists, caplog):
    def dead(video_id):
        return {name: values * 0 for name, values in draw(video_id).items()}

    metrics, _, _ = run(tmp_path, make_store("store", TEST, dead), lists)
    one_class, dark = metrics["warnings"]
    assert "all frames of 12 videos are predicted as Wave: the CNN does not distinguish the classes" in one_class
    assert "all maps of 12 videos are zero" in dark
    assert one_class in caplog.text
    assert dark in caplog.text


def test_a_cnn_that_has_learnt_something_is_not(tmp_path, make_store, lists):
    def learnt(video_id):
        return {**draw(video_id), "logits": draw(video_id)["logits"] - np.float32([9, 0, 0])}

    assert run(tmp_path, make_store("store", TEST, learnt), lists)[0]["warnings"] == []
