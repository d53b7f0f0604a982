"""Detections on planted features: from a trained network to anybody's evaluator."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attn.commands.detect import detect
from attn.commands.detect_options import DetectOptions
from attn.commands.evaluate_detection import evaluate_detection
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.train_tsrnet import train_tsrnet
from attn.errors import UsageError
from attn.schema import FEATURES, TIME_S
from attn.stages.open_model import open_model
from attn.stages.sampled_videos import sampled_videos
from attn.stages.segments import SegmentRule
from attn.stages.time_samples import uniform_samples
from attn.storage.store import AttentionStore
from attn.training.tsrnet_options import TrainTsrnetOptions
from tests.stores import write_store
from tests.untrimmed_stores import ACTION_S, CLASSES, manifest_of, plant

SMALL = {"attention_dim": 16, "hidden_dim": 16, "dropout": 0.2, "num_samples": 40, "lr": 0.05, "updates": 400}
ONE_CPU = {"cpus_per_worker": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with train/, test/ and a network in tsr/."""
    folder = tmp_path_factory.mktemp("detect")
    for seed, part in enumerate(("train", "test")):
        (folder / part).mkdir()
        plant(folder / part, seed=seed, part=part)
    given = {"store": str(folder / "train" / "store"), "labels": str(folder / "train" / "labels.csv")}
    assert train_tsrnet(TrainTsrnetOptions(**given, out=str(folder / "tsr"), look_every=100, **SMALL, **ONE_CPU)) == 0
    return folder


def options_of(folder, out, **change):
    given = {"store": (str(folder / "test" / "store"),), "model": (str(folder / "tsr"),), "out": str(out)}
    return DetectOptions(**{**given, **change})


def tables(folder):
    with open(folder / "detections.json") as file:
        results = json.load(file)["results"]
    return pq.read_table(folder / "detections.parquet").to_pylist(), results, folder / "detections.txt"


def test_detections_find_the_planted_actions(trained, tmp_path):
    labels = str(trained / "test" / "labels.csv")
    assert detect(options_of(trained, tmp_path / "out", labels=labels)) == 0
    rows, results, text = tables(tmp_path / "out")
    assert sum(map(len, results.values())) == len(rows)
    assert not text.exists()  # its numbers are those of THUMOS14's classes
    assert {row["label"] for row in rows} <= {*CLASSES}
    assert all(0 <= row["score"] <= 1.2 and row["start_s"] < row["end_s"] <= 40 * ACTION_S + 1e-6 for row in rows)
    truth = EvaluateDetectionOptions(
        (str(tmp_path / "out" / "detections.json"),), str(trained / "test" / "segments.json"), str(tmp_path / "map")
    )
    assert evaluate_detection(truth) == 0
    with open(tmp_path / "map" / "detection.json") as file:
        found = json.load(file)["results"][0]
    assert found["map"][4] > 0.6  # tIoU 0.5
    with open(tmp_path / "out" / "metrics.json") as file:
        metrics = json.load(file)["methods"]["tsrnet"]
    assert metrics["map_noninterpolated"]["value"] > 0.9


def test_attention_is_inside_the_actions_more_than_their_share_of_time(trained):
    scorer = open_model(str(trained / "tsr")).scorer
    with open(trained / "test" / "segments.json") as file:
        database = json.load(file)["database"]
    inside, share = [], []
    for video in sampled_videos(AttentionStore.open(str(trained / "test" / "store")), FEATURES, "all"):
        middle_s = (video.edges_s[:-1] + video.edges_s[1:]) / 2
        spans = [one["segment"] for one in database[video.video_id]["annotations"]]
        acting = np.any([(middle_s > start) & (middle_s < end) for start, end in spans], axis=0)
        if spans:
            inside.append(scorer.stream(video.values).attention[acting].sum())
            share.append(acting.mean())
    assert np.mean(share) < 0.25
    assert np.mean(inside) > 2 * np.mean(share)


def test_samples_that_are_repeated_give_the_same_detections(trained):
    scorer, rule = open_model(str(trained / "tsr")).scorer, SegmentRule()
    counted = 0
    for video in sampled_videos(AttentionStore.open(str(trained / "test" / "store")), FEATURES, "all"):
        once, twice = (scorer.stream(values) for values in (video.values, video.values.repeat(2, axis=0)))
        edges_s = np.append(video.edges_s[:-1].repeat(2), video.edges_s[-1])
        few, many = rule.segments([once], video.edges_s), rule.segments([twice], edges_s)
        assert [one.cls for one in few] == [one.cls for one in many]
        for one, other in zip(few, many, strict=True):
            assert abs(one.start_s - other.start_s) <= ACTION_S + 1e-9
            assert abs(one.end_s - other.end_s) <= ACTION_S + 1e-9
            assert one.score == pytest.approx(other.score, abs=1e-6)
        counted += len(few)
    assert counted > 20


def test_two_equal_streams_detect_what_one_does(trained, tmp_path):
    one = options_of(trained, tmp_path / "one")
    both = options_of(trained, tmp_path / "two", store=one.store * 2, model=one.model * 2, theta=0.3)
    assert [detect(one), detect(both)] == [0, 0]
    first, second = (tables(tmp_path / name)[0] for name in ("one", "two"))
    assert len(first) == len(second) > 20
    for row, other in zip(first, second, strict=True):
        assert {**row, "score": pytest.approx(row["score"], abs=1e-6)} == other
    labels = str(trained / "test" / "labels.csv")
    assert detect(options_of(trained, tmp_path / "three", store=one.store * 2, model=one.model * 2, labels=labels)) == 0
    with open(tmp_path / "three" / "metrics.json") as file:
        assert {"stream1", "stream2", "fused"} == json.load(file)["methods"].keys()


def test_the_page_shows_a_training_and_recognition(trained, tmp_path):
    out = tmp_path / "out"
    assert detect(options_of(trained, out, labels=str(trained / "test" / "labels.csv"))) == 0
    assert report(ReportOptions((str(out), str(trained / "tsr")), str(tmp_path / "page.html"))) == 0
    text = (tmp_path / "page.html").read_text()
    assert "evaluation of 60 videos by 1 methods" in text
    assert "tsrnet" in text


def test_only_labelled_videos_are_detected_in(trained, tmp_path):
    (tmp_path / "some.csv").write_text("video_id,labels\ntest_001,Kick\ntest_004,\n")
    assert detect(options_of(trained, tmp_path / "out", labels=str(tmp_path / "some.csv"))) == 0
    rows, results, _ = tables(tmp_path / "out")
    assert {row["video_id"] for row in rows} == results.keys() == {"test_001", "test_004"}
    with pytest.raises(UsageError, match=r"holds metrics\.json\. Give --labels again"):
        detect(options_of(trained, tmp_path / "out"))


def test_classes_can_be_chosen(trained, tmp_path):
    assert detect(options_of(trained, tmp_path, classes=("Kick",))) == 0
    rows, _, _ = tables(tmp_path)
    assert {row["label"] for row in rows} == {"Kick"}
    made_by = json.loads(pq.read_schema(tmp_path / "detections.parquet").metadata[b"made_by"])
    assert made_by["classes"] == ["Kick"]
    assert len(made_by["models_sha256"][0]) == 64


def test_samples_are_read_without_the_rest_of_a_video(tmp_path):
    random, stored = np.random.default_rng(0), {}
    for i, count in enumerate((1, 7, 50, 3000)):
        stored[f"v{i}"] = {FEATURES: random.normal(size=(count, 8)).astype(np.float16)}
    store = AttentionStore.open(write_store(str(tmp_path / "s"), manifest_of(), stored, part_bytes=1000))
    whole = {rows.video_id: rows for rows in store.videos([FEATURES])}
    for count in (20, "all"):
        found = {one.video_id: one for one in sampled_videos(store, FEATURES, count)}
        assert found.keys() == stored.keys()
        for video_id, one in found.items():
            rows = whole[video_id]
            samples = uniform_samples(len(rows.frame), count)
            assert (one.values == rows.tensors[FEATURES][samples]).all()
            step = rows.time_s[-1] - rows.time_s[-2] if len(rows.time_s) > 1 else 0
            assert one.edges_s == pytest.approx([*rows.time_s[samples], rows.time_s[-1] + step])


def other_times(folder):
    """Copy of the test store whose times are later by a tenth of a second."""
    original = AttentionStore.open(str(folder / "test" / "store"))
    for part in original.parts:
        path = folder / "later" / "/".join(part.path.split("/store/")[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(part.path)
        place, field = table.column_names.index(TIME_S), table.schema.field(TIME_S)
        late = pa.array(table[TIME_S].to_numpy() + np.float32(0.1), field.type)
        pq.write_table(table.set_column(place, field, late), path)
    for name in ("manifest.json", "_SUCCESS.json"):
        (folder / "later" / name).write_bytes((folder / "test" / "store" / name).read_bytes())
    return str(folder / "later")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, o: {"store": o.store * 2}, "2 and 1 given"),
        (lambda f, o: {"theta": 1.5}, r"--theta 1\.5: must be from 0 to 1"),
        (lambda f, o: {"relative_threshold": 1.0}, "--relative-threshold 1.*: must be from 0 to below 1"),
        (lambda f, o: {"store": (str(f / "train" / "store"),), "labels": str(f / "train" / "labels.csv")}, "unseen"),
        (lambda f, o: {"labels": background(f)}, "no video has a class of the model"),
        (lambda f, o: {"labels": str(f / "x.mat")}, "has only numbers of classes"),
        (lambda f, o: {"num_samples": 0}, "--num-samples 0: must be at least 1"),
        (lambda f, o: {"classes": ("Swim",)}, "--classes Swim: not among the 3 classes"),
        (lambda f, o: {"model": (str(f / "nothing"),)}, "nothing: does not exist"),
        (lambda f, o: {"store": (other_cnn(f),)}, "features of another CNN than .*weights_sha256"),
        (lambda f, o: {"store": (*o.store, other_times(f)), "model": o.model * 2}, "test_000 has other times in"),
        (
            lambda f, o: {"store": (*o.store, fewer(f)), "model": o.model * 2},
            "58 videos are in only one of.*fewer/store lacks",
        ),
    ],
    ids=lambda one: "" if callable(one) else str(one),
)
def test_bad_input_is_refused_and_nothing_is_written(trained, tmp_path, change, message):
    usual = options_of(trained, tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        detect(options_of(trained, tmp_path / "out", **change(trained, usual)))
    assert not list((tmp_path / "out").glob("*"))


def other_cnn(folder):
    if not (folder / "other").exists():
        (folder / "other").mkdir()
        plant(folder / "other", videos=2, weights_sha256="1" * 64)
    return str(folder / "other" / "store")


def background(folder):
    (folder / "background.csv").write_text("video_id,labels\ntest_004,\n")
    return str(folder / "background.csv")


def fewer(folder):
    if not (folder / "fewer").exists():
        (folder / "fewer").mkdir()
        plant(folder / "fewer", videos=2, part="test")
    return str(folder / "fewer" / "store")
