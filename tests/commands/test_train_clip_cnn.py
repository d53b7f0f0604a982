"""Trainings of networks of clips: teacher and student, resuming, several workers, files, and bad input."""

import contextlib
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.commands.cli import parse
from attn.commands.decode_frames import decode_listed
from attn.commands.decode_frames_options import DecodeFramesOptions
from attn.commands.train_clip_cnn import train_clip_cnn
from attn.commands.train_clip_cnn_plan import make_clip_training
from attn.engine.exit_codes import EXIT_UNTRAINED
from attn.errors import UsageError
from attn.models.clip_backbone import ClipBackbone
from attn.models.clip_file import load_clip_cnn, save_clip_cnn
from attn.stages.open_model import open_model
from attn.storage.manifest import FLOW_FIELDS
from attn.storage.store import FrameStore
from attn.training.checkpoints import CheckpointFolder
from attn.training.clip_learner import clip_learner
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.clip_rows import chance_loss
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.status import StatusWriter
from tests.stores import write_store
from tests.training.clip_stores import CLASSES, SIDE, blobs, flow_manifest, frame_manifest, plant

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "backbone": "small_clip_cnn",
    "length": 4,
    "step": 1,
    "crop": 24,
    "batch": 4,
    "epochs": 3,
    "lr": 0.01,
    "holdout_fraction": 0.25,
    "allow_untrained": True,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"))


def flow_options(folder, out, **change):
    split = {"flow": str(folder / "flow"), "split": str(folder / "train.txt")}
    return TrainClipCnnOptions(modality="flow", out=str(out), **{**split, **SMALL, **change})


def rgb_options(folder, out, **change):
    split = {"frames": str(folder / "frames"), "split": str(folder / "train.txt")}
    return TrainClipCnnOptions(modality="rgb", out=str(out), **{**split, **SMALL, **change})


@pytest.fixture(scope="module")
def teacher(planted, tmp_path_factory):
    """URL of a trained teacher."""
    options = flow_options(planted, tmp_path_factory.mktemp("teacher") / "teacher.safetensors", epochs=12)
    assert train_clip_cnn(dataclasses.replace(options, allow_untrained=False)) == 0
    return options.out


@pytest.fixture(scope="module")
def student(planted, teacher, tmp_path_factory):
    """Options of a trained student."""
    out = tmp_path_factory.mktemp("student") / "student.safetensors"
    options = rgb_options(planted, out, flow=str(planted / "flow"), teacher=teacher)
    assert train_clip_cnn(options) == 0
    return options


def names_of(planted):
    """IDs of the listed videos."""
    return [Path(line.split()[0]).stem for line in (planted / "train.txt").read_text().splitlines()]


def report_of(options):
    return json.loads(Path(options.out.replace(".safetensors", ".train/report.json")).read_text())


def rows_of(options):
    lines = Path(options.out.replace(".safetensors", ".train/metrics.jsonl")).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_teacher_learns_the_direction_of_the_flow(teacher, planted):
    found = load_clip_cnn(teacher)
    assert (found.class_names, found.modality, found.map_names) == (CLASSES, "flow", ("motion",))
    assert found.flow == flow_manifest().of(FLOW_FIELDS)
    assert (found.input.length, found.input.step, found.input.size, found.input.crop) == (4, 1, SIDE, 24)
    assert found.trained["validation_accuracy"] == 1
    assert len(found.trained["train_videos"]) == 12
    assert len(found.trained["held_out_videos"]) == 4


def test_a_student_names_its_teacher_whose_file_stays_as_it_is(student, teacher):
    sha256 = hashlib.sha256(Path(teacher).read_bytes()).hexdigest()
    found, rows = load_clip_cnn(student.out), rows_of(student)
    assert found.trained["teacher_sha256"] == sha256 == load_clip_cnn(teacher).sha256
    assert (found.modality, found.map_names, found.flow) == ("rgb", ("motion", "appearance"), {})
    assert all(row["motion_kl"] > 0 for row in rows)
    assert {"epoch", "loss", "cross_entropy", "prior_kl", "train_accuracy", "validation_accuracy"} <= rows[0].keys()


def test_a_student_scores_bit_for_bit_the_same_without_flow_and_teacher(student, planted, tmp_path):
    clips = torch.rand(2, 3, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = load_clip_cnn(student.out).net(clips)
        Path(tmp_path / "student.safetensors").write_bytes(Path(student.out).read_bytes())
        (tmp_path / "flow").mkdir()
        after = load_clip_cnn(str(tmp_path / "student.safetensors")).net(clips)
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.attention, after.attention)


def test_the_weights_of_the_best_validation_are_kept(teacher, planted):
    rows = rows_of(dataclasses.replace(flow_options(planted, teacher)))
    accuracies = [row["validation_accuracy"] for row in rows]
    assert load_clip_cnn(teacher).trained["kept_epoch"] == 12 - accuracies[::-1].index(max(accuracies))


@pytest.fixture
def make_loop(planted, tmp_path):
    """make_loop(name, **settings): loop of one worker without Ray, with checkpoints under a name."""

    def make(name="states", **settings):
        planned = make_clip_training(rgb_options(planted, tmp_path / f"{name}.safetensors", **settings))
        planned.run.begin({})
        status, job = StatusWriter(None, rank=1), planned.job
        group = Group.alone(torch.device("cpu"))
        learner = opened.enter_context(clip_learner(job, group, status, net=planned.net, teacher=planned.teacher))
        assert not isinstance(learner, UsageError), learner
        return TrainingLoop(learner, status, CheckpointFolder(str(tmp_path / name), every_s=0), run_url=job.run_url)

    with contextlib.ExitStack() as opened:
        yield make


def test_a_resumed_training_equals_an_uninterrupted_one(make_loop, planted, teacher):
    taught = {"flow": str(planted / "flow"), "teacher": teacher}
    whole = make_loop("whole", **taught)
    assert whole.run() is None
    first = make_loop("cut", **taught)
    first.learner.is_over = lambda rows: len(rows) >= 2
    assert first.run() is None
    second = make_loop("cut", **taught)
    assert second.run() is None
    assert len(second.rows) == 3
    torch.testing.assert_close(second.learner.net.state_dict(), whole.learner.net.state_dict(), rtol=0, atol=0)
    for here, there in zip(second.rows, whole.rows, strict=True):
        assert here["loss"] == there["loss"]


@pytest.mark.long
def test_two_workers_train_as_one(planted, teacher, tmp_path):
    taught = {"flow": str(planted / "flow"), "teacher": teacher}
    both = rgb_options(planted, tmp_path / "two.safetensors", workers=2, **taught)
    alone = dataclasses.replace(both, workers=1, out=str(tmp_path / "one.safetensors"))
    for options in (both, alone):
        assert train_clip_cnn(options) == 0
    first, second = (load_clip_cnn(options.out).net.state_dict() for options in (both, alone))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)


def test_the_same_command_is_not_repeated_and_another_one_is_refused(student):
    before = Path(student.out).stat().st_mtime_ns
    assert train_clip_cnn(student) == 0
    assert Path(student.out).stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"other options \(distillation_weight: 2.0 here, 1.0 there\)"):
        train_clip_cnn(dataclasses.replace(student, distillation_weight=2.0))


def test_a_training_that_learns_nothing_has_its_own_exit_code(planted, tmp_path):
    options = rgb_options(planted, tmp_path / "out.safetensors", lr=1e-9, epochs=1, allow_untrained=False)
    assert train_clip_cnn(options) == EXIT_UNTRAINED


def test_signs_of_a_training_without_progress():
    assert chance_loss([5, 5], 0.1) == pytest.approx(np.log(2))
    assert chance_loss([9, 1], 0.0) == pytest.approx(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)))


def test_weights_of_a_file_start_both_modalities(planted, tmp_path):
    torch.manual_seed(3)
    source = ClipBackbone("small_clip_cnn").net.state_dict()
    torch.save({**source, "fc.weight": torch.zeros(400, 64)}, tmp_path / "weights.pth")
    for make in (rgb_options, flow_options):
        planned = make_clip_training(make(planted, tmp_path / "out.safetensors", weights=str(tmp_path / "weights.pth")))
        net = planned.net.backbone.net
        assert torch.equal(net.features[1][0].weight, source["features.1.0.weight"])


def test_short_videos_are_counted(planted, tmp_path):
    planned = make_clip_training(rgb_options(planted, tmp_path / "out.safetensors", length=8))
    counts = {name: rows for part in FrameStore.open(str(planted / "frames")).parts for name, rows in part.rows.items()}
    assert planned.job.short_videos == sum(counts[name] < 8 for name in names_of(planted)) > 0


def test_an_untaught_student_reads_no_flow(planted, tmp_path):
    planned = make_clip_training(rgb_options(planted, tmp_path / "out.safetensors"))
    assert (planned.job.flow, planned.teacher) == (None, None)
    plain = make_clip_training(rgb_options(planted, tmp_path / "out.safetensors", attention="none"))
    assert plain.net.architecture.num_maps == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": None}, "--frames: missing, although --modality rgb needs it"),
        ({"flow": "flow"}, "--flow: only used with --modality flow, or --teacher"),
        ({"teacher": "x.safetensors"}, "--flow: missing, although --modality flow, or --teacher needs it"),
        ({"shuffle_teacher": True}, "--shuffle-teacher True: needs --teacher"),
        ({"pool_teacher_maps": True}, "--pool-teacher-maps True: needs --teacher"),
        ({"backbone": "resnet18"}, "'resnet18': unknown backbone of clips"),
        ({"crop": 33}, "--crop 33: must be at most 32, the side of the stored frames"),
        ({"weights": "kinetics"}, "kinetics: torchvision has no weights for small_clip_cnn"),
        ({"attention_kernel_t": 2}, "--attention-kernel-t 2: must be odd"),
        ({"temperature": 0.0}, "--temperature 0.0: must be above 0"),
        ({"jitter": 1.5}, "--jitter 1.5: must be from 0 to 1"),
        ({"dropout": 1.0}, "--dropout 1.0: must be from 0 to below 1"),
        ({"batch": 0}, "--batch 0: must be at least 1"),
        ({"workers": 0}, "--workers 0: must be at least 1"),
        ({"out": "student"}, "student: not a checkpoint name"),
    ],
)
def test_bad_flags(planted, tmp_path, change, message):
    options = rgb_options(planted, **{"out": tmp_path / "out.safetensors", **change})
    with pytest.raises(UsageError, match=re.escape(message)):
        train_clip_cnn(options)
    assert not list(tmp_path.iterdir())


def test_a_class_list_without_the_classes_of_the_videos_is_refused(planted, tmp_path):
    (tmp_path / "classes.txt").write_text("Walk\nRun\n")
    with pytest.raises(UsageError, match=r"classes\.txt: lacks classes of .*train\.txt"):
        train_clip_cnn(rgb_options(planted, tmp_path / "out.safetensors", classes=str(tmp_path / "classes.txt")))


def test_a_teacher_of_a_student_without_attention_is_refused(planted, teacher, tmp_path):
    taught = {"flow": str(planted / "flow"), "teacher": teacher}
    with pytest.raises(UsageError, match="--teacher: a network without attention"):
        train_clip_cnn(rgb_options(planted, tmp_path / "out.safetensors", attention="none", **taught))


def test_a_teacher_that_does_not_fit_is_refused(planted, teacher, student, tmp_path):
    taught = rgb_options(planted, tmp_path / "out.safetensors", flow=str(planted / "flow"), teacher=teacher)
    known = load_clip_cnn(teacher)

    def refused(message, trained=known, **change):
        url = str(tmp_path / "teacher.safetensors")
        save_clip_cnn(url, trained)
        with pytest.raises(UsageError, match=message):
            train_clip_cnn(dataclasses.replace(taught, teacher=url, **change))

    refused("trained for 2 classes, which are not those of", dataclasses.replace(known, class_names=("A", "B")))
    refused(
        r"another kind of flow than .* \(algorithm: tvl1 there, dis here",
        dataclasses.replace(known, flow={**known.flow, "algorithm": "tvl1"}),
    )
    refused("clips of 4 frames with step 1 and 24 pixels, not 6 frames with step 1", length=6)
    refused("its map has 1×3×3 instead of 1×2×2 cells. Add --pool-teacher-maps", backbone="r3d_18", crop=24)
    refused("not a teacher, which takes flow", load_clip_cnn(student.out))
    with pytest.raises(UsageError, match="a model of kind cnn, not clip_cnn"):
        train_clip_cnn(dataclasses.replace(taught, teacher=_cnn_file(tmp_path)))


def _cnn_file(folder) -> str:
    from attn.models.checkpoint import save_checkpoint, untrained_cnn

    url = str(folder / "cnn.safetensors")
    save_checkpoint(url, untrained_cnn("small_cnn", CLASSES, None, None, 32))
    return url


def test_flow_of_other_frames_is_refused(planted, teacher, tmp_path):
    """Flow is missing for a video, was computed for other frames, or has another number of rows."""
    random, names = np.random.default_rng(0), names_of(planted)
    store = FrameStore.open(str(planted / "frames"))
    counts = {name: rows for part in store.parts for name, rows in part.rows.items()}
    flow = {name: {"flow": blobs(random, 0, counts[name])[1]} for name in names}
    short = {**flow, names[0]: {"flow": flow[names[0]]["flow"][:-1]}}
    cases = {
        "1 of 16 training videos have no flow": (flow_manifest(), dict(list(flow.items())[1:])),
        "made with different settings \\(sampling": (flow_manifest(sampling={"stride": 2}), flow),
        f"flow of {counts[names[0]] - 1} frames of {names[0]}, but .* has {counts[names[0]]}": (flow_manifest(), short),
    }
    for number, (message, (manifest, videos)) in enumerate(cases.items()):
        url = write_store(str(tmp_path / f"flow{number}"), manifest, videos)
        with pytest.raises(UsageError, match=message):
            train_clip_cnn(rgb_options(planted, tmp_path / "out.safetensors", flow=url, teacher=teacher))


def test_a_file_of_clips_is_opened_as_a_model(student):
    model = open_model(student.out)
    assert (model.kind, model.class_names, model.scorer.columns) == ("clip_cnn", CLASSES, ("logits",))
    assert model.settings == {"weights_sha256": load_clip_cnn(student.out).sha256}
    assert len(model.trained_on) == 16
    assert model.cnn is None


def test_flags_are_those_of_the_options(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["train_clip_cnn.py", "--modality", "rgb", "--split", "s", "--out", "o", "--no-flip"]
    )
    options = parse(TrainClipCnnOptions, "")
    assert (options.flip, options.lr, options.label_smoothing, options.epochs) == (False, 2.5e-3, 0.1, 90)
    assert (options.distillation_weight, options.prior_weight, options.temperature, options.kl) == (1, 1, 1, "reverse")


def test_frames_are_decoded_for_lists(footage, tmp_path):
    lists = (str(footage / "split.txt"),)
    options = DecodeFramesOptions(
        videos=str(footage / "videos"), lists=lists, out=str(tmp_path / "frames"), input_size=24
    )
    assert decode_listed(options) == 0
    store = FrameStore.open(options.out)
    counts = sorted(rows for part in store.parts for rows in part.rows.values())
    assert counts == [8, 8, 12, 12, 16, 16, 23, 23, 31, 31]
    assert store.manifest == frame_manifest(input_size=24, informative=store.manifest.informative)
    for change in ({"stride": 0}, {"input_size": 0}, {"max_failed_fraction": 2.0}, {"preprocessing": "blurred"}):
        with pytest.raises(UsageError, match=f"--{next(iter(change)).replace('_', '-')}"):
            decode_listed(dataclasses.replace(options, **change))
