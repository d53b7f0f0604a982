"""Plan of a training on videos: invalid inputs raise errors before any video is decoded."""

import dataclasses
from pathlib import Path

import pytest

from attn.commands.train_cnn_plan import make_training
from attn.datasets.split import read_split
from attn.errors import UsageError
from attn.models.checkpoint import save_checkpoint
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest
from attn.training.cnn_options import TrainCnnOptions
from attn.training.run import TrainRun


@pytest.fixture
def options(video_training: TrainCnnOptions, tmp_path: Path) -> TrainCnnOptions:
    return dataclasses.replace(video_training, out=str(tmp_path / "cnn.safetensors"))


def test_another_input_size_or_sampling_is_refused_before_any_work(options: TrainCnnOptions, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    Ledger.at(str(frames), FrameManifest).begin(make_training(options).frames.manifest)
    shared = dataclasses.replace(options, frames=str(frames))
    make_training(shared)
    with pytest.raises(UsageError, match=r"input_size: 48 here, 32 there.*[Cc]hoose another --frames"):
        make_training(dataclasses.replace(shared, input_size=48))
    with pytest.raises(UsageError, match=r'sampling: \{"fps": 2.0\} here, \{"stride": 5\} there'):
        make_training(dataclasses.replace(shared, fps=2.0))


def test_a_training_begun_before_recordings_were_known_holds_out_single_videos(
    options: TrainCnnOptions, tmp_path: Path
) -> None:
    table = tmp_path / "recordings.csv"
    split = read_split(str(options.split))
    table.write_text("\n".join(["video_id,label,group", *(f"{video},{name},park" for video, name in split.items())]))
    options = dataclasses.replace(options, split=str(table))
    run = make_training(options).run
    assert run.decisive["held_out"] == "recordings"
    old = TrainRun(run.out, {name: value for name, value in run.decisive.items() if name != "held_out"})
    old.begin({})
    resumed = make_training(options)
    assert resumed.footage.recording_of is None
    assert resumed.run.decisive == old.decisive


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": "nowhere"}, "nowhere"),
        ({"split": "nowhere.txt"}, "nowhere.txt"),
        ({"stride": 0}, "--stride 0"),
        ({"fps": -1.0}, "--fps -1"),
        ({"classes": "{}/classes.txt"}, "Kick.*not among the 2 class names"),
        (
            {"split": "{}/unknown.txt"},
            r"2 of the 4 videos of .* are missing: v_Kick_x, v_Wave_x\. Add them, or give --al",
        ),
        (
            {"split": "{}/unknown.txt", "classes": "{}/three.txt", "allow_missing": True},
            "no usable training video of Hug",
        ),
        ({"split": "{}/one.txt"}, "one class, Wave"),
        ({"weights": "{}/none.safetensors"}, "none.safetensors"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    options: TrainCnnOptions, tmp_path: Path, changes: dict, message: str
) -> None:
    kick, wave = ("Kick/v_Kick_g01_c01.avi\nKick/v_Kick_x.avi\n", "Wave/v_Wave_g01_c01.avi\nWave/v_Wave_x.avi\n")
    texts = {"classes": "Wave\nHug\n", "three": "Wave\nKick\nHug\n", "unknown": kick + wave, "one": wave}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)
    filled = {key: value.format(tmp_path) if isinstance(value, str) else value for key, value in changes.items()}
    before = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match=message) as error:
        make_training(dataclasses.replace(options, **filled))
    assert "\n" not in str(error.value)
    assert set(tmp_path.iterdir()) == before


def test_missing_videos_may_be_left_out(options: TrainCnnOptions, tmp_path: Path) -> None:
    lines = Path(str(options.split)).read_text()
    listed = {Path(line.split()[0]).stem for line in lines.splitlines()}
    (tmp_path / "more.txt").write_text(f"Wave/v_Wave_x.avi 1\n{lines}")
    more = dataclasses.replace(options, split=str(tmp_path / "more.txt"), allow_missing=True)
    assert {video.video_id for video in make_training(more).frames.videos} == listed


def test_the_same_classes_keep_the_classifier_in_its_order_and_others_draw_one(
    options: TrainCnnOptions, small_weights: Path, trained: TrainCnnOptions, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("Wave\nKick\n")
    first = make_training(dataclasses.replace(options, classes=str(tmp_path / "classes.txt")))
    assert first.job.fresh == "all"
    save_checkpoint(str(tmp_path / "web.safetensors"), first.cnn)
    job = make_training(dataclasses.replace(options, weights=str(tmp_path / "web.safetensors"))).job
    assert (job.class_names, job.fresh) == (("Wave", "Kick"), "nothing")
    for weights in (small_weights, trained.out):
        job = make_training(dataclasses.replace(options, weights=str(weights))).job
        assert (job.class_names, job.fresh) == (("Kick", "Wave"), "classifier")


@pytest.mark.parametrize(
    ("line", "numbers", "fresh"),
    [
        ("{0}.avi {1}", (0, 1), "nothing"),
        ("{0}.avi,{1}", (1, 2), "nothing"),
        ("of/{0}.avi {1}", (0, 1), "nothing"),
        ("{0}.avi {1}", (0, 3), "classifier"),
        ("class{1}/{0}.avi {1}", (0, 1), "classifier"),
    ],
)
def test_numbers_of_all_classes_of_the_start_keep_its_classifier(
    options: TrainCnnOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, numbers: tuple, fresh: str
) -> None:
    names = [Path(one.split()[0]).stem for one in Path(str(options.split)).read_text().splitlines()]
    (tmp_path / "l.txt").write_text("\n".join(line.format(one, numbers["Kick" in one]) for one in names))
    (tmp_path / "classes.txt").write_text("Wave\nKick\n")
    first = make_training(dataclasses.replace(options, classes=str(tmp_path / "classes.txt")))
    save_checkpoint(str(tmp_path / "web.safetensors"), first.cnn)
    flags = {"weights": str(tmp_path / "web.safetensors"), "split": str(tmp_path / "l.txt")}
    job = make_training(dataclasses.replace(options, **flags)).job
    assert job.fresh == fresh
    assert (job.class_names == ("Wave", "Kick")) == (fresh == "nothing")
    assert any("do not cover all 2 classes" in one for one in caplog.messages) == (numbers == (0, 3))


def test_the_fingerprint_follows_the_videos_and_the_seed_and_not_where_they_lie(
    options: TrainCnnOptions, footage: Path, tmp_path: Path
) -> None:
    name = make_training(options).run.name
    (tmp_path / "flat").mkdir()
    for path in (footage / "videos").rglob("*.avi"):
        (tmp_path / "flat" / path.name).write_bytes(path.read_bytes())
    moved = dataclasses.replace(options, videos=str(tmp_path / "flat"), frames=str(tmp_path / "f"), workers=2)
    assert make_training(moved).run.name == name
    for change in ({"fraction": 0.4}, {"seed": 1}, {"stride": 4}, {"epochs": 4}):
        assert make_training(dataclasses.replace(options, **change)).run.name != name
