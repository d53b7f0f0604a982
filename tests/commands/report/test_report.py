"""`report` on one evaluation, one store, one training: what is recognised, what the page holds, what is refused."""

import base64
import io
import json
import logging
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attn.commands.cli import parse
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.report import report
from attn.commands.report_options import ReportOptions, page_command
from attn.commands.report_runs import find_runs
from attn.errors import UsageError
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, save_energynet
from attn.schema import LOGITS, MAPS
from attn.storage.failures import Failure, FailureLog
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.store import AttentionStore
from attn.training.run import TrainRun
from attn.video.transform import Resampling, resize_and_crop
from tests.report.pages import parsed, section, table_of
from tests.stores import new_manifest, write_store

CLASSES = ("Wave", "Kick", "Hug")
CLOSER = Resampling("bicubic", 0.5)
LENGTHS = (1, 4, 23, 60, 130, 37)
CLIPS = {f"v_{('Wave', 'Kick')[i % 2]}_g{i:02}_c01": length for i, length in enumerate(LENGTHS)}


def tensors(label, frames, wrong):
    """Rows of a video: the CNN says Hug in the first `wrong` frames; attention is right but in the last frame."""
    logits, maps = np.zeros((frames, 3), np.float32), np.full((frames, 3, 4, 4), 0.1, np.float16)
    logits[:, label] = 1
    logits[:wrong, 2] = 2
    maps[:, label, 1, 1] = np.arange(1, frames + 1)
    maps[-1, label] = 0
    return {LOGITS: logits, MAPS: maps}


@pytest.fixture(scope="module")
def made_once(tmp_path_factory, clip_folder):
    """Folder with a store, its evaluation and a training."""
    folder = tmp_path_factory.mktemp("runs")
    informative = {"options": {"videos": str(clip_folder)}}
    manifest = new_manifest(
        class_names=CLASSES, columns=(LOGITS, MAPS), informative=informative, preprocessing=str(CLOSER)
    )
    rows = {name: tensors(i % 2, -(-length // 5), i) for i, (name, length) in enumerate(CLIPS.items())}
    store = write_store(str(folder / "store"), manifest, rows)
    (folder / "test.txt").write_text("".join(f"{name.split('_')[1]}/{name}.avi\n" for name in CLIPS))
    options = EvaluateOptions(
        store=store, split=str(folder / "test.txt"), out=str(folder / "results"), methods=("cnn", "unatt")
    )
    assert evaluate(options) == 0
    run = TrainRun(str(folder / "cnn.safetensors"), {"class_names": CLASSES})
    run.begin({})
    row = {"train_loss": 1.5, "train_accuracy": 0.4, "validation_accuracy": 0.5, "untrained": {}}
    run.write_metrics([{"epoch": 1, **row}, {"epoch": 2, **row, "train_loss": 0.75}])
    run.finish({"validation_accuracy": 0.5, "seconds": 12.3, "untrained": ["all frames get one class"]})
    return folder


@pytest.fixture
def store(made_once):
    return str(made_once / "store")


@pytest.fixture
def evaluation(made_once):
    return str(made_once / "results")


@pytest.fixture
def training(made_once):
    return str(made_once / "cnn.train")


@pytest.fixture(scope="module")
def html(made_once, tmp_path_factory):
    """Page of the evaluation, and the files of its charts in `figures/` beside it."""
    folder = tmp_path_factory.mktemp("page")
    return made(folder, str(made_once / "results"), examples=2, figures=str(folder / "figures")), folder


def made(tmp_path, *runs, **flags):
    out = tmp_path / "page" / "report.html"
    assert report(ReportOptions(runs=runs, out=str(out), **flags)) == 0
    return out.read_text()


def changed(evaluation, to, **store):
    """Copy of an evaluation whose store has another URL or fingerprint."""
    shutil.copytree(evaluation, to)
    metrics = json.loads((to / "metrics.json").read_text())
    metrics["store"] |= store
    (to / "metrics.json").write_text(json.dumps(metrics))
    return str(to)


def test_an_evaluation_fills_its_sections_with_the_figures_of_its_scores(html, evaluation):
    html, _ = html
    topics = [node.attributes["id"] for node in parsed(html).all("section")]
    assert topics == ["runs", "methods", "gains", "frames", "confusion", "precision", "videos"]
    assert table_of(section(html, "runs"))[1][1] == "evaluation of 6 videos by 4 methods"
    metrics = json.loads((Path(evaluation) / "metrics.json").read_text())["methods"]
    methods = {row[0]: row[1].split()[0] for row in table_of(section(html, "methods"))[1:]}
    assert methods["CNN"] == f"{100 * metrics['cnn']['top_1']['value']:.1f}"
    gains = {row[0]: row[-1] for row in table_of(section(html, "gains"))[1:]}
    assert (
        gains["Wave"] == f"{100 * (metrics['unatt']['per_class']['Wave'] - metrics['cnn']['per_class']['Wave']):+.1f}"
    )
    assert gains["Hug"] == "–"
    videos = {row[0]: row[1:] for row in table_of(section(html, "videos"))[1:]}
    assert videos["v_Kick_g03_c01"][:3] == ["Kick", "4", "✓"]
    assert videos["v_Kick_g01_c01"][0] == "Kick"
    wrong = {tuple(row[:2]): row[2] for row in table_of(section(html, "confusion").all("div", class_="option")[0])[1:]}
    right = 6 - sum(map(int, wrong.values()))
    assert right == round(6 * metrics["cnn"]["top_1"]["value"])


def test_models_of_any_name_have_a_chart_of_precision(store, made_once, tmp_path):
    manifest, models = AttentionStore.open(store).manifest, []
    for name in ("first", "second"):
        net = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6)
        trained = TrainedEnergyNet(net, CLASSES, (4, 4), manifest.fingerprint, {})
        save_energynet(str(tmp_path / name), trained)
        models.append(f"{name}={tmp_path / name}")
    out, split = str(tmp_path / "results"), str(made_once / "test.txt")
    assert evaluate(EvaluateOptions(store=store, split=split, out=out, model=tuple(models))) == 0
    html = made(tmp_path, out)
    assert table_of(section(html, "precision"))[0] == ["class", "first, %", "second, %"]


def test_frames_are_those_that_only_attention_gets_right_with_their_pixels(html, clip_folder, sequential):
    found = section(html[0], "frames")
    counts = {(row[0], row[1]): int(row[2]) for row in table_of(found)[1:]}
    frames = [-(-length // 5) for length in LENGTHS]
    wrong = [min(i, count) for i, count in enumerate(frames)]
    last = [int(cnn == count) for cnn, count in zip(wrong, frames, strict=True)]  # attention is never right there
    assert counts[("wrong", "right")] == sum(wrong) - sum(last)
    assert counts[("right", "wrong")] == 6 - sum(last)
    assert sum(counts.values()) == sum(frames)
    # Video i is wrong in frames 0 to i - 1, and the lead of the true class grows with the frame.
    examples = found.all("figure", class_="example")
    titles = [one.all("figcaption")[0].words for one in examples]
    assert titles == ["Wave: v_Wave_g04_c01, 0.50 s", "Kick: v_Kick_g05_c01, 0.67 s"]
    for example, (name, frame) in zip(examples, (("v_Wave_g04_c01", 15), ("v_Kick_g05_c01", 20)), strict=True):
        image, said, true = (pixels_of(one) for one in example.all("img"))
        (path,) = clip_folder.rglob(f"{name}.avi")
        expected = resize_and_crop(sequential(path)[frame], 224, CLOSER)
        assert np.abs(image.astype(int) - expected).mean() < 8
        assert np.abs(said.astype(int) - image).mean() < np.abs(true.astype(int) - image).mean()


def pixels_of(image):
    data = base64.b64decode(image.attributes["src"].partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_without_the_videos_there_are_maps_only_and_the_page_says_so(tmp_path, evaluation, caplog):
    gone = str(tmp_path / "gone")
    found = section(made(tmp_path, evaluation, videos=gone), "frames")
    assert any("4 of 4 frames have maps only" in note.words for note in found.all("p", class_="note"))
    assert gone in found.words
    assert {len(one.all("img")) for one in found.all("figure", class_="example")} == {2}
    assert "frames without pictures" in caplog.text


def test_without_the_store_the_rest_of_the_page_is_there_and_one_line_says_why(tmp_path, evaluation, caplog):
    html = made(tmp_path, changed(evaluation, tmp_path / "results", url=str(tmp_path / "gone")))
    assert "no attention store here" in section(html, "frames").one("p").words
    assert section(html, "confusion").all("svg")
    assert len([line for line in caplog.messages if "frames left out" in line]) == 1


def test_a_store_that_has_moved_is_known_by_its_fingerprint(tmp_path, evaluation, store):
    other = changed(evaluation, tmp_path / "results", url=str(tmp_path / "gone"))
    assert section(made(tmp_path, other, store, examples=1), "frames").all("img")


def test_a_store_that_was_made_again_is_not_searched(tmp_path, evaluation):
    other = changed(evaluation, tmp_path / "results", fingerprint="0" * 16)
    assert "made again since the evaluation" in section(made(tmp_path, other), "frames").one("p").words


def test_a_store_shows_its_throughput_and_failures(tmp_path):
    store = write_store(str(tmp_path / "store"), new_manifest(), {})
    root = Location.at(store)
    log = FailureLog(root)
    log.add(Failure("<b>clip</b>", "x/clip.avi", "decode", "VideoError", "<i>truncated</i>", 3))
    log.flush()
    Ledger.at(store).finish(
        {"videos": 6, "rows": 54, "failed": 1, "failed_videos": ["<b>clip</b>"], "seconds": 2.0, "frames_per_s": 27.0}
    )
    html = made(tmp_path, store)
    assert [node.attributes["id"] for node in parsed(html).all("section")] == ["runs", "stores"]
    stores, failures = (table_of(section(html, "stores"), number) for number in (0, 1))
    assert stores[1][1:8] == ["attention store", "6", "54", "1", "27", "2", "yes"]
    assert failures[1] == ["store", "<b>clip</b>", "decode", "VideoError", "<i>truncated</i>", "3"]


def test_a_training_shows_its_curves_and_its_verdict(tmp_path, training):
    for given in (training, training.replace(".train", ".safetensors")):
        found = section(made(tmp_path, given), "training")
        assert table_of(found)[1][1:] == ["2 epochs", "0.750", "50.0", "–", "12", "all frames get one class"]
        words = found.one("svg").words
        assert all(name in words for name in ("train loss", "train accuracy", "validation accuracy"))


def test_figures_are_written_for_a_paper(html):
    figures = html[1] / "figures"
    names = {path.name for path in figures.iterdir()}
    for name in ("results.gains_unatt", "results.confusion_CNN", "results.precision", "results.frames"):
        assert {f"{name}.svg", f"{name}.png"} <= names
    assert "<svg" in (figures / "results.gains_unatt.svg").read_text()


def test_several_runs_have_a_name_each(tmp_path, evaluation, store, training):
    (tmp_path / "copy").symlink_to(Path(evaluation).parent)
    runs = find_runs([evaluation, str(tmp_path / "copy" / "results"), store, training])
    folder = Path(evaluation).parent.name
    assert [run.name for run in runs] == [f"{folder}/results", "copy/results", "store", "cnn.train"]
    assert [run.kind for run in runs] == ["evaluation", "evaluation", "store", "training"]


def refused(*runs, **flags):
    with pytest.raises(UsageError) as error:
        report(ReportOptions(runs=runs, **{"out": "/tmp/never/report.html", **flags}))  # noqa: S108  never written
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_run_is_refused_in_one_line(tmp_path, evaluation):
    (tmp_path / "empty").mkdir()
    assert "no run in this folder" in refused(str(tmp_path / "empty"))
    assert "does not exist" in refused(str(tmp_path / "gone"))
    assert "given twice" in refused(evaluation, f"{evaluation}/")
    assert "--runs: empty" in refused()
    assert "ends in .html" in refused(evaluation, out=str(tmp_path / "page"))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "manifest.json").write_text("{")
    assert "damaged" in refused(str(tmp_path / "store"))
    assert not Path("/tmp/never").exists()  # noqa: S108


def test_runs_of_other_classes_are_refused_before_any_work(tmp_path, evaluation, caplog):
    caplog.set_level(logging.INFO, "attn")
    few = write_store(str(tmp_path / "few"), new_manifest(class_names=("Wave", "Kick")), {})
    other = write_store(str(tmp_path / "other"), new_manifest(class_names=("Wave", "Kick", "Point")), {})
    assert "their classes differ (3 and 2)" in refused(evaluation, few)
    assert "their classes differ (Hug and Point)" in refused(evaluation, other)
    assert not caplog.messages


def test_the_command_that_other_jobs_end_with_is_one_that_the_job_takes(made_once):
    words = shlex.split(page_command(f"{made_once}/a b/"))
    options = parse(ReportOptions, None, words[2:])
    assert words[:2] == ["python", "jobs/report.py"]
    assert (options.runs, options.out) == ((f"{made_once}/a b/",), f"{made_once}/a b/report.html")
