"""Tables of attention distillation: plan, a run of all steps in this process, figures by hand, page and refusals."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from attn.commands.evaluate_boxes import read_localisation
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.data import open_data
from attn.commands.reproduction.distillation_options import DISTILLATION_VARIANTS, DistillationTablesOptions
from attn.commands.reproduction.distillation_results import collect
from attn.commands.reproduction.distillation_steps import make_steps
from attn.commands.reproduction.distillation_tables import _resolved, reproduce_distillation
from attn.commands.reproduction.jobs import job
from attn.commands.reproduction.labelled_videos import LabelledSplit, LabelledVideos, of_benchmark, write_lists
from attn.commands.reproduction.plan_file import write_plan
from attn.commands.reproduction.reproduce import write_results
from attn.commands.reproduction.run_plan import _sharing
from attn.errors import UsageError
from attn.report.distillation_tables import tables
from attn.report.paper_tables import as_markdown
from attn.report.tables_csv import as_csv
from attn.stages.clip_config import ClipConfig
from attn.storage.scores import read_scores

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ClipConfig(
    backbone="small_clip_cnn", length=4, step=1, crop=32, batch=4, epochs=1, lr=0.01, holdout_fraction=0.0
)


@pytest.fixture
def options(tmp_path):
    return DistillationTablesOptions(
        paper="attention_distillation",
        dataset="ucf101",
        root=str(tmp_path),
        out=str(tmp_path / "out"),
        weights="w.pth",
        input_size=36,
        flow_bound=20.0,
        clip_cnn=SMALL,
    )


def on_paper(name="ucf101"):
    splits = [
        LabelledSplit(
            split, {f"{split}-a{i}": ("Kick",) for i in range(4)}, {f"{split}-b{i}": ("Wave",) for i in range(4)}
        )
        for split in ("split1", "split2")
    ]
    return LabelledVideos(name, ("Kick", "Wave"), "videos", None, 1, "top_1", tuple(splits))


def networks_of(steps):
    """Options of the trainings by seed, split and network."""
    return {tuple(step.name.split("/")[1:4]): step.options for step in steps if step.job == "train_clip_cnn"}


def test_every_step_comes_after_what_it_needs(options):
    for variants in (tuple(DISTILLATION_VARIANTS), ("distilled",), ("rgb", "attention"), ("teacher",)):
        steps, cells = make_steps(on_paper(), dataclasses.replace(options, variants=variants, seeds=(0, 1)))
        names = [step.name for step in steps]
        assert len(set(names)) == len(names)
        for place, step in enumerate(steps):
            assert set(step.needs) <= set(names[:place])
        assert {cell.scores for cell in cells} == {step.name for step in steps if step.job == "evaluate"}
        assert {cell.trained_on for cell in cells} == {*variants}
        assert ("flow" in names) == bool({*variants} - {"rgb", "attention"})
        assert ("frames" in names) == (variants != ("teacher",))


def test_networks_differ_in_their_teacher_only(options):
    boxes = dataclasses.replace(options, seeds=(3,), boxes="boxes", clip_every=7)
    steps, _ = make_steps(on_paper(), boxes)
    nets = networks_of(steps)
    own = {name: nets["seed3", "split2", name] for name in DISTILLATION_VARIANTS}
    teacher = own.pop("teacher")
    assert (teacher.modality, teacher.frames, teacher.teacher) == ("flow", None, None)
    assert {name: (net.attention, net.teacher, net.shuffle_teacher) for name, net in own.items()} == {
        "rgb": ("none", None, False),
        "attention": ("gumbel", None, False),
        "distilled": ("gumbel", teacher.out, False),
        "shuffled": ("gumbel", teacher.out, True),
    }
    differ = {"attention", "teacher", "shuffle_teacher", "flow", "out"}
    plain = [{k: v for k, v in dataclasses.asdict(net).items() if k not in differ} for net in own.values()]
    assert all(one == plain[0] for one in plain)  # same seed, data and number of updates
    assert plain[0]["seed"] == 3
    for step in steps:
        if step.job == "precompute":  # flow is for the teacher only
            assert (step.options.flow is not None) == ("/teacher/" in step.name) == (step.options.videos is None)
            assert (step.options.clip, step.options.clip_every) == ((4, 1), 7)
        if step.job == "evaluate":
            assert (step.options.boxes is None) == ("/rgb/" in step.name)
    tests = {step.options.split for step in steps if step.job == "evaluate"}
    flow = next(step.options for step in steps if step.name == "flow")
    frames = next(step.options for step in steps if step.name == "frames")
    assert tests <= {*flow.lists}
    assert not tests & {*frames.lists}


@pytest.fixture(scope="module")
def run(footage, tmp_path_factory):
    """Options and figures of all networks on one part of tiny videos, all steps done in this process."""
    pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("tables")
    names = sorted(str(path.relative_to(footage / "videos")) for path in (footage / "videos").rglob("*.avi"))
    rows = [f"{name},{name.split('/')[0]},{name.split('_')[2]}\n" for name in names]
    (folder / "labels.csv").write_text("".join(["video_id,label,group\n", *rows]))
    (folder / "boxes").mkdir()
    for name in names:
        track = {"width": 64, "height": 48, "boxes": [[10, 0, 40, 48]] * 40}
        (folder / "boxes" / f"{Path(name).stem}.json").write_text(json.dumps(track))
    options = _resolved(
        DistillationTablesOptions(
            paper="attention_distillation",
            dataset="labelled",
            root=str(footage / "videos"),
            labels=str(folder / "labels.csv"),
            parts=2,
            splits=(1,),
            out=str(folder / "out"),
            input_size=36,
            boxes=str(folder / "boxes"),
            clip_cnn=SMALL,
        )
    )
    videos = of_benchmark(open_data(options), options)
    steps, cells = make_steps(videos, options)
    write_lists(videos, options)
    write_plan(options, steps)
    for step in steps:
        own = {"cpus_per_worker": 1} if step.job == "train_clip_cnn" else {}
        assert job(step.job)(dataclasses.replace(step.options, **own)) == 0
    more = {"seconds": {}, "trainings": {"count": 5, "untrained": {}}}
    results = {**collect(options, videos, cells, {"a step": "why"}), **more}
    write_results(options.out, results, tables(results))
    return options, results


def test_figures_are_those_by_hand(run):
    options, results = run
    scores = {
        name: read_scores(f"{options.out}/small_clip_cnn/seed0/part1/{name}/scores/scores.parquet")
        for name in DISTILLATION_VARIANTS
    }
    labels = scores["rgb"].labels
    values = {name: found.by_method[name] for name, found in scores.items()}
    values["fused"] = values["distilled"] / 2 + values["teacher"] / 2
    by_hand = {name: float(np.mean(one.argmax(1) == labels)) for name, one in values.items()}
    found = {one["method"]: one["top_1"]["value"] for one in results["methods"]}
    assert list(found) == [*DISTILLATION_VARIANTS, "fused"]
    assert found == pytest.approx(by_hand)
    for pair in results["pairs"]:
        assert pair["value"] == pytest.approx(by_hand[pair["first"]] - by_hand[pair["second"]])
    assert {(one["first"], one["second"]) for one in results["pairs"]} >= {("distilled", "rgb"), ("fused", "teacher")}


def test_localisation_is_a_mean_over_videos(run):
    options, results = run
    root = f"{options.out}/small_clip_cnn/seed0/part1"
    found = {(one["method"], one["map"]): one for one in results["localisation"]}
    assert found.keys() == {
        ("teacher", "motion"),
        *((name, part) for name in ("attention", "distilled", "shuffled") for part in ("motion", "appearance")),
    }
    of = {name: read_localisation(f"{root}/{name}/scores")["motion"] for name in ("attention", "distilled")}
    for figure in ("ratio", "share", "pointing", "precision", "pixel_precision"):
        means = {name: np.mean([video[figure] for video in videos.values()]) for name, videos in of.items()}
        assert found["distilled", "motion"][figure]["value"] == pytest.approx(means["distilled"])
        pair = next(one for one in results["localisation_pairs"] if one["second"] == "attention")
        if figure in pair:
            assert pair[figure]["value"] == pytest.approx(means["distilled"] - means["attention"])
            assert pair[figure]["interval"][0] <= pair[figure]["value"] <= pair[figure]["interval"][1]


def test_tables_csv_and_page_show_all_networks(run, tmp_path):
    options, results = run
    text = Path(options.out, "tables.md").read_text()
    for part in (
        "RGB, attention distilled from flow",
        "control, teacher of another video",
        "36.3 (unverified",
        "a step",
    ):
        assert part in text
    rows = list(csv.DictReader(io.StringIO(as_csv(results))))
    figures = {(row["table"], row["method"], row["figure"]) for row in rows}
    assert ("methods", "fused", "top_1") in figures
    assert ("localisation", "distilled, motion map", "pointing") in figures
    assert report(ReportOptions((options.out,), str(tmp_path / "page.html"))) == 0
    page = (tmp_path / "page.html").read_text()
    for part in ("5 of 5 sets of scores", "Attention in the boxes", "flow teacher", "small_clip_cnn distilled"):
        assert part in page


def test_published_figures_are_marked_unverified_and_left_out_for_fewer_classes(run):
    options, results = run
    assert not any(one["paper"] for one in results["methods"])
    for name, count in (("hmdb51", 51), ("ucf101", 5)):
        names = tuple(f"class {i}" for i in range(count))
        videos = dataclasses.replace(on_paper(name), class_names=names)
        _, cells = make_steps(of_benchmark(open_data(options), options), options)
        found = collect(options, videos, cells, {})
        paper = {one["method"]: one["paper"] for one in found["methods"] if one["paper"]}
        assert paper == ({"distilled": {"top_1": "75.7 (unverified)"}} if count == 51 else {})
        more = {"trainings": {"count": 5, "untrained": {}}}
        assert ("75.7 (unverified)" in as_markdown({**found, **more}, tables(found))) == (count == 51)


def test_trainings_share_the_cpus(options, monkeypatch):
    monkeypatch.setattr("attn.commands.reproduction.run_plan.cluster_totals", lambda: {"CPU": 8.0, "GPU": 0.0})
    steps, _ = make_steps(on_paper(), options)
    shared = networks_of(_sharing(steps, 4))
    assert {net.cpus_per_worker for net in shared.values()} == {2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": None}, "--root is missing"),
        ({"variants": ()}, "--variants: empty"),
        ({"variants": ("rgb", "rgb")}, "duplicate values"),
        ({"seeds": (-1,)}, "--seeds -1: not valid"),
        (
            {"clip_cnn": dataclasses.replace(SMALL, attention="none")},
            "--clip-cnn.attention none: set by --variants rgb",
        ),
        ({"clip_cnn": dataclasses.replace(SMALL, shuffle_teacher=True)}, "shuffle-teacher True: set by --variants"),
        ({"clip_cnn": dataclasses.replace(SMALL, seed=2)}, "--clip-cnn.seed 2: set by --seeds"),
        ({"clip_cnn": dataclasses.replace(SMALL, epochs=0)}, "--clip-cnn.epochs 0: must be at least 1"),
        ({"clip_cnn": dataclasses.replace(SMALL, crop=40)}, "--clip-cnn.crop 40: larger than --input-size 36"),
        ({"flow_bound": -1.0}, "--flow-bound -1: must be a positive number"),
        ({"clip_every": 0}, "--clip-every 0: too small"),
        ({"labels": "labels.csv"}, "--labels and --dataset labelled need each other"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, change, message):
    with pytest.raises(UsageError, match=message):
        reproduce_distillation(dataclasses.replace(options, **change))
    assert not Path(options.out).exists()


def test_missing_inputs_are_refused_before_the_first_step(run):
    options, _ = run
    for change, message in (
        ({"boxes": f"{options.out}/nowhere"}, "nowhere"),
        ({"weights": "kinetics"}, "kinetics"),
        ({"clip_cnn": dataclasses.replace(options.clip_cnn, epochs=2)}, "--clip-cnn.epochs 2: .* was made with 1"),
    ):
        with pytest.raises(UsageError, match=message):
            reproduce_distillation(dataclasses.replace(options, **change))


def test_defaults_of_the_data_sets(options):
    plain = dataclasses.replace(options, weights=None, input_size=None, flow_bound=None, clip_cnn=ClipConfig())
    found = _resolved(plain)
    assert (found.weights, found.input_size, found.flow_bound) == ("kinetics", 128, 20)
    assert found.clip_cnn == ClipConfig()
    synthetic = _resolved(dataclasses.replace(plain, dataset="synthetic", root=None))
    assert (synthetic.weights, synthetic.input_size, synthetic.flow_bound) == (None, 64, 4)
    assert (synthetic.clip_cnn.backbone, synthetic.clip_cnn.holdout_fraction) == ("small_clip_cnn", 0)
    assert synthetic.boxes == f"{options.out}/data/boxes"


@pytest.mark.long
def test_a_whole_run_makes_the_tables(ray_local, tmp_path):
    pytest.importorskip("cv2")
    options = DistillationTablesOptions(
        paper="attention_distillation",
        dataset="synthetic",
        out=str(tmp_path),
        splits=(1,),
        render_videos=32,
        clip_cnn=ClipConfig(epochs=1),
    )
    assert reproduce_distillation(options) == 0
    text = (tmp_path / "tables.md").read_text()
    assert "RGB, attention distilled from flow" in text
    assert "peak in the box" in text
    assert reproduce_distillation(options) == 0  # all steps are finished
    assert (tmp_path / "tables.md").read_text() == text
