"""The flow stream of TSRNet's tables: its steps, its refusals, and its rows beside those of RGB."""

import csv
import dataclasses
import io
import json
import shutil
import sys

import numpy as np
import pytest

from attn.commands.detect import detect
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.cell import group_of
from attn.commands.reproduction.plan_file import write_plan
from attn.commands.reproduction.reproduce import write_results
from attn.commands.reproduction.reproduce_options import TsrnetTablesOptions
from attn.commands.reproduction.tsrnet_flow import check_flow, check_flow_unchanged, with_earlier_flow
from attn.commands.reproduction.tsrnet_results import collect
from attn.commands.reproduction.tsrnet_steps import make_steps
from attn.commands.reproduction.tsrnet_tables import _resolved, reproduce_tsrnet
from attn.commands.train_tsrnet import train_tsrnet
from attn.errors import UsageError
from attn.report.published import TSRNET_RECOGNITION
from attn.report.tables_csv import as_csv
from attn.report.tsrnet_tables import tables
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.scores import read_scores
from attn.training.cnn_flags import resolve
from tests.commands.reproduction.test_tsrnet_tables import SMALL, untrimmed
from tests.untrimmed_stores import ACTION_S, plant

FLOW = {"flow": "dis", "flow_lr": 0.03}


@pytest.fixture
def options(tmp_path):
    given = {"paper": "tsrnet", "dataset": "untrimmed", "root": str(tmp_path), "out": str(tmp_path / "out")}
    return TsrnetTablesOptions(**given, backbone="resnet18", weights="imagenet", **FLOW)


@pytest.mark.parametrize("images", [None, "images"])
def test_flow_has_a_cnn_of_its_own_that_begins_with_that_of_rgb(options, tmp_path, images):
    steps, runs = make_steps(
        untrimmed(tmp_path, images=images), dataclasses.replace(options, theta=0.3, flow_cnn_lr=0.02)
    )
    named = {step.name: step for step in steps}
    assert len(named) == len(steps)
    for place, step in enumerate(steps):
        assert set(step.needs) <= set(list(named)[:place])
    cnn = named["resnet18/flow/cnn"]
    assert (cnn.options.lr, cnn.options.head_lr, cnn.options.batchnorm) == (0.02, 0.02, "auto")
    assert resolve(cnn.options).flow == named["resnet18/flow/trimmed"].options.out
    assert cnn.options.weights == ("imagenet" if images is None else named["resnet18/web/cnn"].options.out)
    assert ("resnet18/web/cnn" in cnn.needs) == (images is not None)
    features = named["resnet18/flow/features/untrimmed"].options
    assert (features.weights, features.flow) == (cnn.options.out, named["resnet18/flow/untrimmed"].options.out)
    # Rows of both streams must have the same times.
    assert named["resnet18/flow/untrimmed"].options.stride == named["resnet18/untrimmed"].options.stride
    streams = {run.method: named[run.found].options for run in runs}
    fused = streams["srnet-fused"]
    assert (fused.store, fused.model) == (
        streams["srnet"].store + streams["srnet-flow"].store,
        streams["srnet"].model + streams["srnet-flow"].model,
    )
    assert fused.theta == 0.3
    assert {*named[f"{'resnet18/seed0/test/tsrnet'}/fused"].needs} == {
        "resnet18/seed0/test/tsrnet/tsrnet",
        "resnet18/seed0/test/tsrnet/flow/tsrnet",
    }
    transferred = named["resnet18/seed0/test/tsrnet/flow/tsrnet"].options
    assert (transferred.lr, transferred.trimmed) == (0.03, named["resnet18/flow/features/trimmed"].options.out)


def test_rgb_is_computed_by_the_same_steps_with_and_without_flow(options, tmp_path):
    both, _ = make_steps(untrimmed(tmp_path), options)
    alone, _ = make_steps(untrimmed(tmp_path), dataclasses.replace(options, flow=None))
    assert [step for step in both if step in alone] == alone
    assert all("/flow" in step.name or "/fused" in step.name for step in both if step not in alone)


def test_a_folder_keeps_its_flow_and_refuses_another(options, tmp_path):
    without = dataclasses.replace(options, flow=None, flow_lr=None)
    write_plan(without, [])
    assert with_earlier_flow(without) == without
    check_flow_unchanged(options)  # flow may be added to a folder
    write_plan(options, [])
    assert with_earlier_flow(without) == options
    check_flow_unchanged(options)
    with pytest.raises(UsageError, match=r"--flow tvl1: .* was made with dis\. Choose another --out"):
        check_flow_unchanged(dataclasses.replace(options, flow="tvl1"))
    with pytest.raises(UsageError, match=r"--flow-epochs 3: .* was made with 10"):
        check_flow_unchanged(dataclasses.replace(options, flow_epochs=3))


def test_flow_of_thumos14_has_the_learning_rate_of_the_paper(options):
    given = dataclasses.replace(options, dataset="thumos14", flow_lr=None)
    assert (_resolved(given).tsrnet.lr, _resolved(given).flow_lr) == (1e-4, 5e-4)
    assert _resolved(given).flow_cnn_lr == 0.005
    assert _resolved(dataclasses.replace(given, flow_lr=0.1)).flow_lr == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flow_weights": "C_T_V2"}, r"--flow-weights C_T_V2: dis has no weights"),
        ({"flow": "raft_small"}, r"--flow raft_small: needs weights\. Give --flow-weights C_T_V2"),
        ({"flow": None, "flow_weights": "C_T_V2"}, "--flow-weights C_T_V2: needs --flow"),
        ({"input_size": 8}, "--input-size 8: dis needs at least 12 pixels"),
        ({"backbone": "googlenet"}, "googlenet: takes only RGB images"),
        ({"theta": 1.5}, r"--theta 1\.5: must be from 0 to 1"),
        ({"flow_lr": 0.0}, r"--flow-lr 0\.0: must be above 0"),
    ],
    ids=str,
)
def test_bad_options_of_flow_are_refused(options, change, message):
    with pytest.raises(UsageError, match=message):
        check_flow(dataclasses.replace(options, **change))


def test_a_missing_opencv_is_refused_before_the_first_step(options, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"--flow dis: OpenCV is missing .*Run pip install 'attn\[flow\]'"):
        check_flow(options)
    given = dataclasses.replace(options, dataset="synthetic", root=None, backbone="small_cnn", weights=None)
    with pytest.raises(UsageError, match="OpenCV is missing"):
        reproduce_tsrnet(given)
    assert not (tmp_path / "out" / "plan.json").exists()


def test_flow_needs_trimmed_videos(tmp_path):
    plant(tmp_path, videos=5)
    (tmp_path / "classInd.txt").write_text("1 Hug\n2 Kick\n3 Wave\n")
    (tmp_path / "segments.json").rename(tmp_path / "annotation.json")
    given = {"paper": "tsrnet", "dataset": "untrimmed", "root": str(tmp_path), "out": str(tmp_path / "out")}
    with pytest.raises(UsageError, match=r"--flow dis: needs trimmed videos\. Give --trimmed and --trimmed-split"):
        reproduce_tsrnet(TsrnetTablesOptions(**given, variants=("srnet",), **FLOW))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Figures of one variant of both streams, and its folder; the features of flow are those of RGB."""
    folder = tmp_path_factory.mktemp("streams")
    plant(folder, videos=60)
    header, *lines = (folder / "labels.csv").read_text().splitlines(keepends=True)
    (folder / "training.csv").write_text("".join([header, *(line for line in lines if line < "untrimmed_030")]))
    (folder / "test.csv").write_text("".join([header, *(line for line in lines if line >= "untrimmed_030")]))
    content = json.loads((folder / "segments.json").read_text())
    tested = {name: {**video, "duration": 40 * ACTION_S} for name, video in content["database"].items()}
    tested = {name: video for name, video in tested.items() if name >= "untrimmed_030"}
    (folder / "segments.json").write_text(json.dumps({**content, "database": tested}))
    for place in ("small_cnn/untrimmed", "small_cnn/flow/features/untrimmed"):
        shutil.copytree(folder / "store", folder / place)
    options = TsrnetTablesOptions(
        paper="tsrnet",
        dataset="untrimmed",
        out=str(folder),
        backbone="small_cnn",
        weights="w",
        variants=("srnet",),
        tsrnet=dataclasses.replace(SMALL, updates=120, look_every=60),
        **FLOW,
    )
    videos = untrimmed(folder, training_labels=str(folder / "training.csv"), test_labels=str(folder / "test.csv"))
    steps, runs = make_steps(videos, options)
    for step in steps:
        if step.job in ("train_tsrnet", "detect"):
            own = {"cpus_per_worker": 1} if step.job == "train_tsrnet" else {}
            job = {"train_tsrnet": train_tsrnet, "detect": detect}[step.job]
            assert job(dataclasses.replace(step.options, **own)) == 0
    results = {**collect(options, videos, runs, {}), "seconds": {}, "trainings": {"count": 2, "untrained": {}}}
    write_plan(options, steps)
    write_results(options.out, results, tables(results))
    return folder, results


def test_the_tables_have_rows_of_both_streams_and_of_their_fusion(found):
    _, results = found
    shown = {table.title: table.rows for table in tables(results)}
    title = next(one for one in shown if one.startswith("Recognition"))
    assert title == "Recognition, mAP (non-interpolated) and Hit@1; trained on training part (30 videos, 3 classes)"
    assert [row[1:3] for row in shown[title]] == [
        ["SRNet (attention)", stream] for stream in ("RGB", "flow", "RGB and flow")
    ]
    assert all("trained on" in one for one in shown if one.startswith(("Recognition", "Detection", "Paired")))
    pairs = {row[0] for one in shown if one.startswith("Paired differences of recognition") for row in shown[one]}
    assert pairs == {f"SRNet (attention), RGB and flow − SRNet (attention), {stream}" for stream in ("RGB", "flow")}
    detected = {(one["method"], one["evaluator"]): one["map"][4] for one in results["detection"]}
    assert all(detected[f"srnet{stream}", "thumos14"] > 0.3 for stream in ("", "-flow", "-fused"))
    rows = list(csv.DictReader(io.StringIO(as_csv(results))))
    assert {row["training_set"] for row in rows} == {"training part (30 videos, 3 classes)"}
    assert {"srnet", "srnet-flow", "srnet-fused"} <= {row["method"] for row in rows}
    assert "hit_1" in {row["figure"] for row in rows if row["method"] == "srnet-fused"}


def test_fused_rows_are_those_of_the_weighted_probabilities(found):
    folder, results = found
    at = folder / "small_cnn/seed0/test/srnet"
    rgb, flow = (
        read_scores(str(at / place / "scores.parquet")).by_method["tsrnet"] for place in ("found", "flow/found")
    )
    fused = read_scores(str(at / "fused/scores.parquet"))
    np.testing.assert_allclose(fused.by_method["fused"], (rgb + flow) / 2, atol=1e-6)
    assert not np.allclose(rgb, flow)  # the learning rates differ
    labelled = fused.positives.any(1)
    best = fused.by_method["fused"].argmax(1)
    expected = fused.positives[labelled, best[labelled]].mean()
    figures = {one["method"]: one for one in results["methods"]}
    assert figures["srnet-fused"]["hit_1"]["value"] == pytest.approx(expected)
    assert "top_1" not in figures["srnet-fused"]


def test_the_page_shows_the_rows_and_the_trainings_of_both_streams(found, tmp_path):
    assert report(ReportOptions((str(found[0]),), str(tmp_path / "page.html"))) == 0
    text = (tmp_path / "page.html").read_text()
    for part in ("3 of 3 networks with detections", "RGB and flow", "Training of small_cnn srnet flow tsrnet"):
        assert part in text
    assert len({group_of(f"small_cnn/{name}/cnn") for name in ("web", "flow")}) == 2  # each has a chart of its own


def test_published_figures_are_of_each_stream():
    assert [TSRNET_RECOGNITION[f"tsrnet{stream}"] for stream in ("", "-flow", "-fused")] == [74.4, 79.6, 87.1]


@pytest.mark.long
def test_a_whole_run_with_flow_makes_the_tables(ray_local, tmp_path):
    options = TsrnetTablesOptions(
        paper="tsrnet",
        dataset="synthetic",
        out=str(tmp_path),
        render_images=64,
        render_videos=40,
        render_untrimmed=6,
        image_epochs=1,
        flow="dis",
        flow_epochs=1,
        variants=("srnet", "tsrnet_ce"),
        tsrnet=TsrnetConfig(updates=40, look_every=20),
    )
    assert reproduce_tsrnet(options) == 0
    text = (tmp_path / "tables.md").read_text()
    assert "| RGB and flow |" in text
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "done").iterdir()}
    assert reproduce_tsrnet(dataclasses.replace(options, flow=None)) == 0  # all steps are finished, flow stays
    assert (tmp_path / "tables.md").read_text() == text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "done").iterdir()} == done
