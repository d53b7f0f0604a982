"""Training videos on a local Ray: each is decoded once, and the set of training videos is fixed."""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from attn.commands.train_cnn import train_cnn
from attn.commands.train_cnn_plan import PlannedTraining, make_training
from attn.commands.training_videos import decode_training_videos
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS
from attn.models.checkpoint import load_checkpoint
from attn.stages.decode_videos import IMAGE, DecodeVideos
from attn.storage.audit import audit_store
from attn.storage.failures import read_failures
from attn.storage.ledger import Ledger
from attn.storage.manifest import FrameManifest
from attn.storage.tensors import tensor_values
from attn.training.cnn_options import TrainCnnOptions
from attn.training.pictures import VideoFrames
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos

EPOCHS = 25  # enough to kill a driver during the training, even on a busy machine
LISTED = {f"v_{name}_g{i:02}_c01" for name in ("Wave", "Kick") for i in range(1, 6)}


@pytest.fixture
def options(video_training: TrainCnnOptions, tmp_path: Path) -> TrainCnnOptions:
    return dataclasses.replace(video_training, out=str(tmp_path / "cnn.safetensors"))


def decoded(options: TrainCnnOptions) -> tuple[PlannedTraining, VideoFrames | int]:
    training = make_training(options)
    assert training.footage is not None
    assert training.frames is not None
    training.run.begin({})
    return training, decode_training_videos(training.footage, training.frames, training.run)


def parts_of(options: TrainCnnOptions) -> dict[Path, int]:
    folder = Path(options.frames or options.out.replace(".safetensors", ".train/frames"))
    return {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}


def rows_in(*parts: Path) -> Counter[str]:
    return Counter(
        video for part in parts for video in pq.read_table(part, columns=["video_id"])["video_id"].to_pylist()
    )


def plain_loop(folder: str, size: int) -> dict[str, np.ndarray]:
    """Frames of every video, decoded sequentially."""
    with FrameReader() as reader:
        return {
            video.video_id: np.concatenate(
                [batch[IMAGE] for batch in DecodeVideos(Stride(5), size, 64)([video], reader)]
            )
            for video in list_videos(folder)
        }


def test_the_store_has_every_frame_of_every_listed_video_once_and_no_other(
    on_ray, options: TrainCnnOptions, tmp_path: Path
) -> None:
    training, frames = decoded(options)
    assert isinstance(frames, VideoFrames)
    expected = plain_loop(str(options.videos), 32)
    table = pq.read_table(list(parts_of(options)))
    assert set(table["video_id"].to_pylist()) == LISTED
    assert table["label"].null_count == len(table)
    images = tensor_values(table[IMAGE], training.frames.manifest.schema.field(IMAGE))
    for video_id in LISTED:
        rows = np.array(table["video_id"].to_pylist()) == video_id
        np.testing.assert_array_equal(table["frame"].to_numpy()[rows], 5 * np.arange(rows.sum()))
        np.testing.assert_array_equal(images[rows], expected[video_id])
    cache = frames.cached(tmp_path / "cache", threads=2, tell=lambda done: None)
    np.testing.assert_array_equal(cache.pixels, np.concatenate([expected[video_id] for video_id in sorted(LISTED)]))
    wave = training.job.class_names.index("Wave")
    ids = np.repeat(sorted(LISTED), [len(expected[video_id]) for video_id in sorted(LISTED)])
    np.testing.assert_array_equal(frames.labels == wave, ["Wave" in video_id for video_id in ids])
    assert len(frames.held) == 2
    assert {video_id.split("_")[1] for video_id in frames.held} == {"Wave", "Kick"}


def test_a_larger_share_decodes_only_what_is_new_and_other_runs_nothing(
    options: TrainCnnOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shared = dataclasses.replace(options, frames=str(tmp_path / "frames"))
    _, few = decoded(dataclasses.replace(shared, fraction=0.4))
    assert isinstance(few, VideoFrames)
    assert len(few.num_frames) == 4
    before = parts_of(shared)
    _, everything = decoded(dataclasses.replace(shared, out=str(tmp_path / "all.safetensors")))
    assert isinstance(everything, VideoFrames)
    assert everything.num_frames.keys() == LISTED
    after = parts_of(shared)
    assert before.items() < after.items()
    assert rows_in(*after.keys() - before.keys()).keys() == LISTED - few.num_frames.keys()
    (tmp_path / "frames" / "_SUCCESS.json").unlink()  # like a run that was killed at the very end
    other = dataclasses.replace(shared, out=str(tmp_path / "other.safetensors"), fraction=0.7, seed=5, head_lr=0.1)
    _, some = decoded(other)
    assert isinstance(some, VideoFrames)
    assert parts_of(shared) == after
    audit = audit_store(Ledger.at(str(tmp_path / "frames"), FrameManifest))
    assert audit.summary is not None
    assert not audit.disagreements
    assert some.num_frames.items() < everything.num_frames.items()
    assert some.cache_key not in (few.cache_key, everything.cache_key)


def test_an_unreadable_video_is_a_failure_and_left_out_for_good(
    options: TrainCnnOptions, footage: Path, tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    for path in (footage / "videos").rglob("*.avi"):
        (tmp_path / "videos" / path.name).symlink_to(path)
    bad = tmp_path / "videos" / "v_Wave_g03_c01.avi"
    good = bad.readlink()
    bad.unlink()
    bad.write_bytes(good.read_bytes()[:2000].ljust(good.stat().st_size, b"x"))
    options = dataclasses.replace(options, videos=str(tmp_path / "videos"))
    _, code = decoded(options)
    assert code == EXIT_FAILED_VIDEOS
    tolerant = dataclasses.replace(options, max_failed_fraction=0.1)
    training, frames = decoded(tolerant)
    assert isinstance(frames, VideoFrames)
    assert frames.num_frames.keys() == LISTED - {bad.stem}
    ledger = training.frames.ledger
    assert read_failures(ledger.folder)[bad.stem].attempt == 2
    assert list(training.run.read("videos.json")["failed"]) == [bad.stem]
    bad.write_bytes(good.read_bytes())
    _, again = decoded(tolerant)
    assert again == frames
    _, anew = decoded(dataclasses.replace(tolerant, out=str(tmp_path / "b.safetensors"), frames=ledger.url))
    assert isinstance(anew, VideoFrames)
    assert anew.num_frames.keys() == LISTED


def rows_of(options: TrainCnnOptions) -> list[dict]:
    path = Path(options.out.replace(".safetensors", ".train")) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report_of(options: TrainCnnOptions) -> dict:
    return json.loads((Path(options.out.replace(".safetensors", ".train")) / "report.json").read_text())


@pytest.fixture(scope="module")
def learnt(video_training: TrainCnnOptions, tmp_path_factory: pytest.TempPathFactory) -> TrainCnnOptions:
    """Options of a finished training that was started with relative paths."""
    folder = tmp_path_factory.mktemp("learnt")
    options = dataclasses.replace(video_training, out=str(folder / "cnn.safetensors"), frames=str(folder / "frames"))
    relative = {name: os.path.relpath(getattr(options, name), folder) for name in ("videos", "split", "out", "frames")}
    with contextlib.chdir(folder):
        assert train_cnn(dataclasses.replace(options, **relative)) == 0
    return options


@pytest.mark.long
def test_two_workers_learn_from_frames_what_one_learns_and_say_from_what(
    learnt: TrainCnnOptions, tmp_path: Path
) -> None:
    options, parts = learnt, parts_of(learnt)
    two = dataclasses.replace(options, out=str(tmp_path / "two.safetensors"), workers=2)
    assert train_cnn(two) == 0
    assert parts_of(options) == parts
    one, other = (load_checkpoint(training.out) for training in (options, two))
    for name, tensor in other.backbone.export_weights().items():
        assert (tensor - one.backbone.export_weights()[name]).abs().max() < 1e-4
    report, rows = report_of(options), rows_of(options)
    assert report_of(two)["videos"] == report["videos"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    trained, held = set(report["videos_trained"]), set(report["videos_held_out"])
    assert len(held) == 2
    assert trained == LISTED - held
    assert report["videos_failed"] == {}
    counts = rows_in(*parts)
    images = {"trained": sum(counts[one] for one in trained), "validated": sum(counts[one] for one in held)}
    for record in (report, one.trained):
        assert record["images"] == images
        assert record["frames"] == sum(counts.values())
        assert (record["fraction"], record["seed"], record["split"]["file"]) == (1.0, 0, "split.txt")
        assert len(record["split"]["sha256"]) == 64
        assert {name: record["videos"][name] for name in ("trained", "held_out", "failed")} == {
            "trained": 8,
            "held_out": 2,
            "failed": 0,
        }
    assert "videos_trained" not in one.trained


def test_relative_paths_mean_those_of_the_folder_it_was_started_in(learnt: TrainCnnOptions) -> None:
    assert learnt.frames is not None
    assert Path(learnt.out).is_absolute()
    assert Path(learnt.out).exists()
    assert Path(learnt.frames, "_SUCCESS.json").exists()


def test_without_a_video_to_spare_the_last_epoch_is_kept(
    options: TrainCnnOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    few = dataclasses.replace(options, fraction=0.01, epochs=2)
    assert train_cnn(few) == 0
    report = report_of(few)
    assert len(report["videos_trained"]) == 4
    assert report["videos_held_out"] == []
    assert report["validation_accuracy"] is None
    assert report["best_epoch"] == 2
    assert [row["validation_accuracy"] for row in rows_of(few)] == [None, None]
    assert "no videos held out; epoch 2 kept" in caplog.text
    assert train_cnn(few) == 0
    assert "is already finished: no videos held out" in caplog.text


DRIVER = """
import sys
from attn.commands import decode_frames
from attn.commands.cli import run
from attn.training.cnn_options import TrainCnnOptions
from attn.commands.train_cnn import train_cnn
decode_frames.PART_MB = 0  # a part for every video
sys.exit(run(train_cnn, TrainCnnOptions(**eval(sys.argv[1]))))
"""


def start_job(options: TrainCnnOptions) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, repr(dataclasses.asdict(options))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"RAY_ADDRESS": ""})


def kill_when(process: subprocess.Popen, reached) -> None:
    deadline = time.monotonic() + 180
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_driver_killed_while_decoding_and_while_training_goes_on(
    options: TrainCnnOptions, footage: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "many").mkdir()
    lines = []
    for path in sorted((footage / "videos").rglob("*.avi")):
        for i in range(12):
            (tmp_path / "many" / f"{path.stem}_{i:02}.avi").symlink_to(path)
            lines.append(f"{path.parent.name}/{path.stem}_{i:02}.avi")
    (tmp_path / "many.txt").write_text("\n".join(lines))
    many = dataclasses.replace(
        options, videos=str(tmp_path / "many"), split=str(tmp_path / "many.txt"), epochs=EPOCHS, workers=1
    )
    with start_job(many) as process:
        kill_when(process, lambda: len(parts_of(many)) > 3)
    early = parts_of(many)
    assert len(rows_in(*early)) < len(lines)
    with start_job(many) as process:
        kill_when(process, lambda: len(rows_of(many)) >= 2)
    parts = parts_of(many)
    assert early.items() < parts.items()
    counts = rows_in(*parts)
    expected = {name: len(images) for name, images in plain_loop(str(options.videos), 32).items()}
    assert counts == {Path(line).stem: expected[Path(line).stem[:-3]] for line in lines}
    caplog.set_level(logging.INFO)
    assert train_cnn(many) == 0
    assert f"{sum(counts.values())} frames of 144 videos" in caplog.text
    assert "decode tasks" not in caplog.text  # nothing is left to decode
    assert "resuming after epoch" in caplog.text
    assert parts_of(many) == parts
    assert [row["epoch"] for row in rows_of(many)] == list(range(1, EPOCHS + 1))
    assert report_of(many)["frames"] == sum(counts.values())
