"""Tables of TSRNet: plan, bounds, figures of planted features, refusals, and a whole run on tiny rendered data."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from attn.commands.detect import detect
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.plan_file import write_plan
from attn.commands.reproduction.reproduce import write_results
from attn.commands.reproduction.reproduce_options import TSRNET_VARIANTS, TsrnetTablesOptions
from attn.commands.reproduction.tsrnet_data import UntrimmedVideos, check_files, open_untrimmed
from attn.commands.reproduction.tsrnet_results import collect, random_segments, whole_videos
from attn.commands.reproduction.tsrnet_steps import make_steps
from attn.commands.reproduction.tsrnet_tables import _resolved, reproduce_tsrnet
from attn.commands.train_tsrnet import train_tsrnet
from attn.datasets.segments import GroundTruth, Segment
from attn.errors import UsageError
from attn.report.paper_tables import as_markdown
from attn.report.tables_csv import as_csv
from attn.report.tsrnet_tables import tables
from attn.stages.tsrnet_config import TsrnetConfig
from tests.untrimmed_stores import ACTION_S, plant

SMALL = TsrnetConfig(attention_dim=16, hidden_dim=16, dropout=0.2, num_samples=40, lr=0.05, updates=300, look_every=100)


@pytest.fixture
def options(tmp_path):
    return TsrnetTablesOptions(paper="tsrnet", dataset="untrimmed", root=str(tmp_path), out=str(tmp_path / "out"))


def untrimmed(folder, **change):
    usual = {
        "name": "untrimmed",
        "videos": "videos",
        "training_set": "training part",
        "training_labels": str(folder / "labels.csv"),
        "training_classes": None,
        "test_labels": str(folder / "labels.csv"),
        "annotation": str(folder / "segments.json"),
        "subset": "test",
        "meta": None,
        "classes": None,
        "images": None,
        "trimmed": "clips",
        "trimmed_split": "clips.txt",
        "stride": 2,
    }
    return UntrimmedVideos(**{**usual, **change})


def test_every_step_comes_after_what_it_needs_and_only_tsrnet_sees_trimmed_videos(options, tmp_path):
    for images in (None, "images"):
        given = dataclasses.replace(options, backbone="resnet101", weights="imagenet", seeds=(0, 1))
        steps, runs = make_steps(untrimmed(tmp_path, images=images), given)
        names = [step.name for step in steps]
        assert len(set(names)) == len(names)
        for place, step in enumerate(steps):
            assert set(step.needs) <= set(names[:place])
        assert {run.found for run in runs} == {step.name for step in steps if step.job == "detect"}
        nets = {step.name: step.options for step in steps if step.job == "train_tsrnet"}
        assert len(nets) == 2 * len(TSRNET_VARIANTS)
        for name, net in nets.items():
            variant = name.split("/")[-2]
            assert (net.attention == "average") == (variant == "two_stream")
            assert (net.trimmed is not None) == (variant in ("tsrnet", "tsrnet_ce"))
            assert net.trimmed_ce == (variant == "tsrnet_ce")
        assert not any("segments.json" in str(dataclasses.asdict(one)) for one in nets.values())


def test_bounds_know_the_classes_and_nothing_else():
    truth = GroundTruth(
        ("Hug", "Kick"),
        frozenset("ab"),
        [Segment("a", "Hug", 1, 2), Segment("a", "Hug", 5, 6), Segment("b", "Kick", 0, 9)],
        durations_s={"a": 10.0, "b": 9.0},
    )
    assert [(one.video_id, one.label, one.start_s, one.end_s) for one in whole_videos(truth)] == [
        ("a", "Hug", 0, 10),
        ("b", "Kick", 0, 9),
    ]
    found = [one for seed in range(400) for one in random_segments(truth, seed)]
    assert {(one.video_id, one.label) for one in found} == {("a", "Hug"), ("b", "Kick")}
    lengths = np.array([one.end_s - one.start_s for one in found if one.video_id == "a"])
    assert lengths.min() >= 0
    assert lengths.max() <= 10
    assert lengths.mean() == pytest.approx(10 / 3, rel=0.05)
    assert list(random_segments(truth, 3)) == list(random_segments(truth, 3))
    with pytest.raises(UsageError, match="the length of b is missing"):
        list(whole_videos(dataclasses.replace(truth, durations_s={"a": 10.0})))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Figures of two networks with one seed, trained on planted features."""
    folder = tmp_path_factory.mktemp("tables")
    plant(folder, videos=120)
    header, *lines = (folder / "labels.csv").read_text().splitlines(keepends=True)
    for name, part in (("training", slice("untrimmed_060")), ("test", slice("untrimmed_060", None))):
        own = [line for line in lines if (part.start or "") <= line < (part.stop or "~")]
        (folder / f"{name}.csv").write_text("".join([header, *own]))
    content = json.loads((folder / "segments.json").read_text())
    tested = {name: video for name, video in content["database"].items() if name >= "untrimmed_060"}
    for video in tested.values():
        video["duration"] = 40 * ACTION_S
    (folder / "segments.json").write_text(json.dumps({**content, "database": tested}))
    (folder / "small_cnn").mkdir()
    (folder / "store").rename(folder / "small_cnn" / "untrimmed")
    options = TsrnetTablesOptions(
        paper="tsrnet",
        dataset="untrimmed",
        out=str(folder),
        backbone="small_cnn",
        weights="w",
        variants=("two_stream", "srnet"),
        tsrnet=SMALL,
    )
    videos = untrimmed(folder, training_labels=str(folder / "training.csv"), test_labels=str(folder / "test.csv"))
    steps, runs = make_steps(videos, options)
    for step in steps:
        if step.job != "precompute":
            own = {"cpus_per_worker": 1} if step.job == "train_tsrnet" else {}
            job = {"train_tsrnet": train_tsrnet, "detect": detect}[step.job]
            assert job(dataclasses.replace(step.options, **own)) == 0
    results = {
        **collect(options, videos, runs, {"a step": "why"}),
        "seconds": {},
        "trainings": {"count": 2, "untrained": {}},
    }
    write_plan(options, steps)
    write_results(options.out, results, tables(results))
    return results


def test_the_page_shows_tables_and_trainings_of_each_network(found, tmp_path):
    run = found["options"]["out"]
    assert report(ReportOptions((run,), str(tmp_path / "page.html"))) == 0
    text = (tmp_path / "page.html").read_text()
    for part in (
        "2 of 2 networks with detections",
        "Detection, mAP at tIoU, wtalc",
        "small_cnn srnet",
        "SRNet (attention)",
    ):
        assert part in text


def test_attention_finds_segments_and_bounds_do_not(found):
    at = {(one["evaluator"], one["method"]): one["map"][found["tiou"].index(0.5)] for one in found["detection"]}
    assert {evaluator for evaluator, _ in at} == {"activitynet", "thumos14", "wtalc"}
    assert at["activitynet", "srnet"] > 0.4
    for evaluator in ("activitynet", "thumos14", "wtalc"):
        for bound in ("whole", "random", "two_stream"):
            assert at[evaluator, bound] < 0.1
    pair = next(
        one
        for one in found["detection_pairs"]
        if (one["evaluator"], one["first"], one["second"]) == ("activitynet", "srnet", "random")
    )
    low, high = pair["intervals"][4]
    assert 0.2 < low < pair["map"][4] < high
    assert all(one["map_noninterpolated"]["value"] > 0.9 for one in found["methods"])


def test_tables_and_csv_name_evaluators_thresholds_and_failures(found):
    text = as_markdown(found, tables(found))
    for part in ("Detection, mAP at tIoU, thumos14 (noninterpolated AP)", "SRNet (attention)", "a step", "| 0.1 |"):
        assert part in text
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    figures = {(row["table"], row["method"], row["figure"]) for row in rows}
    assert ("detection", "srnet", "mAP@0.5, activitynet") in figures
    assert ("methods", "two_stream", "map_noninterpolated") in figures
    value = next(row for row in rows if (row["method"], row["figure"]) == ("srnet", "mAP@0.5, activitynet"))
    assert float(value["low"]) <= float(value["value"]) <= float(value["high"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": None}, "--root is missing"),
        ({"variants": ()}, "--variants: empty"),
        ({"variants": ("srnet", "srnet")}, "duplicate values"),
        ({"variants": ("tsrnet",)}, "--variants tsrnet: needs trimmed videos"),
        ({"tsrnet": TsrnetConfig(attention="sigmoid")}, "--tsrnet.attention sigmoid: set by --variants"),
        ({"tsrnet": TsrnetConfig(updates=0)}, "--tsrnet.updates 0: must be at least 1"),
        ({"render_untrimmed": 0}, "--render-untrimmed 0: too small"),
        ({"seeds": (0, 0)}, "--seeds 0 0: not valid"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, tmp_path, change, message, monkeypatch):
    (tmp_path / "annotation.json").write_text("{}")
    (tmp_path / "classInd.txt").write_text("1 Hug\n2 Kick\n")
    with pytest.raises(UsageError, match=message):
        reproduce_tsrnet(dataclasses.replace(options, **change))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_complete_set_is_refused(options):
    with pytest.raises(UsageError, match="no complete set of untrimmed videos"):
        open_untrimmed(options)
    with pytest.raises(UsageError, match=r"videos: missing\. --dataset thumos14 needs it beside"):
        open_untrimmed(dataclasses.replace(options, dataset="thumos14"))


@pytest.fixture
def listed(tmp_path):
    """Data set of three videos and three clips, of which only the lists are read."""
    (tmp_path / "labels.csv").write_text("video_id,labels\na,Hug\nb,Kick\nb,Hug\n")
    (tmp_path / "test.csv").write_text("video_id,labels\nc,Kick\n")
    (tmp_path / "clips.txt").write_text("Hug/v_Hug_g01_c01.avi\nKick/v_Kick_g01_c01.avi\nRun/v_Run_g01_c01.avi\n")
    segments = [{"label": "Kick", "segment": [0, 1]}]
    database = {"c": {"subset": "test", "duration": 9, "annotations": segments}}
    (tmp_path / "segments.json").write_text(json.dumps({"database": database}))
    for place in (
        "videos/a.mp4",
        "videos/b.mp4",
        "videos/c.mp4",
        "clips/v_Hug_g01_c01.avi",
        "clips/v_Kick_g01_c01.avi",
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"not opened")
    given = {name: str(tmp_path / name) for name in ("videos",)}
    clips = {"trimmed": str(tmp_path / "clips"), "trimmed_split": str(tmp_path / "clips.txt")}
    return untrimmed(tmp_path, test_labels=str(tmp_path / "test.csv"), **given, **clips)


def test_lists_and_their_videos_are_checked_before_the_first_step(listed, options, tmp_path):
    check_files(listed, options)
    refused = {
        "labels.csv": (
            "video_id,labels\na,Hug\nz,Kick\n",
            "1 of the 2 videos of .*labels.csv are missing: z.*Add them",
        ),
        "test.csv": ("video_id,label,start_s,end_s\nc,Kick,0,1\n", r"test\.csv: has times of actions"),
        "clips.txt": ("Hug/v_Hug_g09_c01.avi\n", r"clips\.txt are missing: v_Hug_g09_c01"),
        "segments.json": ('{"database": {}}', "has no subset 'test'"),
    }
    for name, (text, message) in refused.items():
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=message):
            check_files(listed, options)
        (tmp_path / name).write_text(before)
    (tmp_path / "videos" / "a.mp4").unlink()
    check_files(listed, dataclasses.replace(options, allow_missing=True))


def test_without_trimmed_videos_the_default_leaves_tsrnet_out(options):
    assert _resolved(options).variants == ("two_stream", "srnet")
    synthetic = _resolved(dataclasses.replace(options, dataset="synthetic"))
    assert synthetic.variants == tuple(TSRNET_VARIANTS)
    assert (synthetic.backbone, synthetic.tsrnet.num_samples) == ("small_cnn", 200)
    assert _resolved(dataclasses.replace(options, data_settings=False)).tsrnet == TsrnetConfig()


@pytest.mark.long
def test_a_whole_run_makes_the_tables(ray_local, tmp_path):
    options = TsrnetTablesOptions(
        paper="tsrnet",
        dataset="synthetic",
        out=str(tmp_path),
        render_images=64,
        render_videos=40,
        render_untrimmed=6,
        image_epochs=1,
        tsrnet=TsrnetConfig(updates=40, look_every=20),
    )
    assert reproduce_tsrnet(options) == 0
    text = (tmp_path / "tables.md").read_text()
    assert "TSRNet (attention and transfer)" in text
    assert reproduce_tsrnet(options) == 0  # all steps are finished
    assert (tmp_path / "tables.md").read_text() == text
