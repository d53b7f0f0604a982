"""The main job on a real local Ray, real files: every frame of every good video once, every bad video one failure."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset as ds
import pytest
import torch

from attn.commands.cli import run
from attn.commands.fill_store import warn_of_one_answer
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import make_plan
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_USAGE
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint
from attn.stages.attention import ComputeMaps
from attn.storage.failures import read_failures
from attn.storage.ledger import Ledger
from attn.storage.store import AttentionStore
from attn.video.sandbox.guard import FrameReader

JOB = Path(__file__).resolve().parents[2] / "jobs" / "precompute.py"


@pytest.fixture
def options(clip_folder: Path, small_weights: Path, tmp_path: Path) -> PrecomputeOptions:
    return PrecomputeOptions(
        videos=str(clip_folder),
        out=str(tmp_path / "store"),
        weights=str(small_weights),
        columns=("maps", "logits", "features"),
        actors=(1, 1),  # the usual pool is that of the jobs below
        batch_size=16,
        part_mb=1,
        decode_timeout_s=20,
    )


@pytest.fixture
def here(options: PrecomputeOptions) -> PrecomputeOptions:
    """Options without a pool, so that so few videos are processed in this process."""
    return dataclasses.replace(options, actors=None)


@pytest.fixture(scope="module")
def alone(clip_folder: Path, small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What the stages give for every clip when they are called one after the other, without Ray."""
    plan = make_plan(
        PrecomputeOptions(
            videos=str(clip_folder), out=str(tmp_path_factory.mktemp("none") / "s"), weights=str(small_weights)
        )
    )
    compute = ComputeMaps(plan.cnn, columns=("maps", "logits", "features"), precision="fp32", device="cpu")
    found = {}
    with FrameReader() as reader:
        for video in plan.videos:
            batches = [batch for batch in plan.stage([video], reader) if isinstance(batch, dict)]
            columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            found[video.video_id] = {**compute(columns["image"]), "frame": columns["frame"], "label": video.label}
    return found


def check_store(url: str, alone: dict[str, dict], names: set[str] | None = None) -> None:
    """The store holds exactly the clips' frames, with the values of the plain loop."""
    store = AttentionStore.open(url)
    seen = set()
    for video in store.videos(["maps", "logits", "features"]):
        assert video.video_id not in seen
        seen.add(video.video_id)
        expected = alone[video.video_id]
        np.testing.assert_array_equal(video.frame, expected["frame"])
        assert video.label == expected["label"]
        for name in ("maps", "logits", "features"):
            np.testing.assert_allclose(video.tensors[name], expected[name], rtol=2e-3, atol=1e-4)
    assert seen == (names if names is not None else alone.keys())
    rows = ds.dataset(sorted(str(path) for path in Path(url).glob("part-*.parquet"))).count_rows()
    assert rows == sum(len(alone[name]["frame"]) for name in seen)


def test_store_equals_the_plain_loop(on_ray, options: PrecomputeOptions, alone: dict[str, dict]) -> None:
    assert precompute(options) == 0
    check_store(options.out, alone)
    summary = json.loads((Path(options.out) / "_SUCCESS.json").read_text())
    assert summary["videos"] == len(alone)
    assert summary["failed"] == 0
    progress = json.loads((Path(options.out) / "progress.json").read_text())
    assert progress["videos_done"] == progress["videos_total"] == len(alone)


def test_a_small_job_starts_no_ray_and_its_store_is_the_same(
    here: PrecomputeOptions,
    alone: dict[str, dict],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("attn.commands.fill_store.start_ray", None)
    with caplog.at_level("INFO"):
        assert precompute(here) == 0
    assert "in this process" in caplog.text
    check_store(here.out, alone)


def test_second_run_does_nothing_and_more_videos_extend_the_store(
    here: PrecomputeOptions, alone: dict[str, dict], clip_folder: Path
) -> None:
    first = dataclasses.replace(here, videos=str(clip_folder / "Wave"))
    assert precompute(first) == 0
    before = {path: path.stat().st_mtime_ns for path in Path(here.out).glob("part-*")}
    assert before
    assert precompute(first) == 0
    assert precompute(here) == 0
    check_store(here.out, alone)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_bad_videos_are_failures_and_good_ones_complete(
    here: PrecomputeOptions, alone: dict[str, dict], clip_folder: Path, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    (videos / "Wave").mkdir(parents=True)
    for path in clip_folder.rglob("*.avi"):
        (videos / path.name).symlink_to(path)
    (videos / "empty.avi").touch()
    (videos / "text.avi").write_text("not a video" * 1000)
    (videos / "gone.avi").symlink_to(tmp_path / "nowhere.avi")
    bad = {"empty", "text", "gone"}
    mixed = dataclasses.replace(here, videos=str(videos))
    assert precompute(mixed) == EXIT_FAILED_VIDEOS
    ledger = Ledger.at(here.out)
    failures = read_failures(ledger.folder)
    assert failures.keys() == bad
    assert all(failure.message and failure.attempt == 1 for failure in failures.values())
    assert ledger.done().keys() == alone.keys()
    assert precompute(dataclasses.replace(mixed, max_failed_fraction=1.0)) == 0
    assert {failure.attempt for failure in read_failures(ledger.folder).values()} == {2}


def test_another_stride_is_refused_and_overwrite_starts_anew(
    here: PrecomputeOptions,
    clip_folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = dataclasses.replace(here, videos=str(clip_folder / "Wave"))
    assert precompute(few) == 0
    other = dataclasses.replace(few, stride=10)
    parts = sorted(Path(here.out).glob("part-*"))
    assert run(precompute, other) == EXIT_USAGE
    assert 'sampling: {"stride": 10} here, {"stride": 5} there' in capsys.readouterr().err
    assert sorted(Path(here.out).glob("part-*")) == parts
    anew = dataclasses.replace(other, overwrite=True)
    with caplog.at_level("INFO"):
        assert precompute(dataclasses.replace(anew, dry_run=True)) == 0
    assert "3 videos to process, 0 done" in caplog.text
    assert sorted(Path(here.out).glob("part-*")) == parts
    assert precompute(anew) == 0
    frames = {video.video_id: video.frame for video in AttentionStore.open(here.out).videos([])}
    assert all((frame == np.arange(len(frame)) * 10).all() for frame in frames.values())


def test_dry_run_writes_nothing(on_ray, options: PrecomputeOptions, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert precompute(dataclasses.replace(options, dry_run=True)) == 0
    assert not Path(options.out).exists()
    assert "frames" in caplog.text


BAD_FLAGS = {
    "videos": ("/nowhere/at/all", "nowhere/at/all"),
    "weights": ("/nowhere.safetensors", "nowhere.safetensors"),
    "backbone": ("resnet19", "resnet19"),
    "stride": (0, "0"),
    "fps": (-1.0, "-1"),
    "batch_size": (0, "--batch-size 0"),
    "input_size": (0, "--input-size 0"),
    "max_failed_fraction": (2.0, "--max-failed-fraction 2"),
    "columns": ((), "--columns"),
}


@pytest.mark.parametrize("flag", BAD_FLAGS)
def test_bad_flags_are_one_line_and_nothing_is_written(
    flag: str, options: PrecomputeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    value, culprit = BAD_FLAGS[flag]
    assert run(precompute, dataclasses.replace(options, **{flag: value})) == EXIT_USAGE
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert culprit in message
    assert not Path(options.out).exists()


def test_weights_without_a_classifier_give_grids_and_features(options: PrecomputeOptions, tmp_path: Path) -> None:
    whole = load_checkpoint(options.weights)
    trunk = {key: value for key, value in whole.backbone.export_weights().items() if key.startswith("features.")}
    torch.save(trunk, url := str(tmp_path / "trunk.pth"))
    told = {"weights": url, "backbone": whole.backbone_name, "mean": whole.mean, "std": whole.std}
    headless = dataclasses.replace(options, **told, input_size=whole.input_size, columns=("features", "grid"))
    images = np.random.default_rng(0).integers(0, 256, (2, *(whole.input_size,) * 2, 3), np.uint8)
    expected = ComputeMaps(whole, columns=headless.columns, precision="fp32", device="cpu")(images)
    plan = make_plan(headless)
    found = ComputeMaps(plan.cnn, **plan.compute_settings, device="cpu")(images)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    with pytest.raises(UsageError, match=r"without a classifier .* give the columns features and grid\.$"):
        make_plan(dataclasses.replace(headless, columns=("features", "logits")))


def start_job(options: PrecomputeOptions, *more: str, ray_address: str = "local") -> subprocess.Popen:
    flags = ["--videos", options.videos, "--out", options.out, "--weights", options.weights]
    flags += ["--columns", *options.columns, "--batch-size", "16", "--part-mb", "1", *more]
    environment = os.environ | {"RAY_ADDRESS": ray_address}
    return subprocess.Popen([sys.executable, JOB, *flags], stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def many(options: PrecomputeOptions, clip_folder: Path, tmp_path: Path) -> PrecomputeOptions:
    """Enough videos that a job can be hit while it works."""
    videos = tmp_path / "many"
    videos.mkdir()
    for i in range(30):
        for path in clip_folder.rglob("*.avi"):
            (videos / f"{path.stem}_{i:03}.avi").symlink_to(path)
    # The grid makes rows large, so that there are several parts.
    return dataclasses.replace(options, videos=str(videos), columns=("maps", "logits", "features", "grid"))


def wait_for_part(out: str, process: subprocess.Popen) -> None:
    deadline_s = time.monotonic() + 200
    while not list(Path(out).glob("part-*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize("ray_address", ["", pytest.param("local", marks=pytest.mark.long)])
def test_a_killed_driver_loses_and_doubles_nothing(
    ray_address: str, many: PrecomputeOptions, alone: dict[str, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small job in its own process, and one on a local Ray."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    many = dataclasses.replace(many, actors=None)
    with start_job(many, ray_address=ray_address) as process:
        wait_for_part(many.out, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    early = Ledger.at(many.out).done()
    assert 0 < len(early) < 30 * len(alone)
    parts = {path: path.stat().st_mtime_ns for path in Path(many.out).glob("part-*")}
    assert precompute(many) == 0
    assert all(path.stat().st_mtime_ns == then for path, then in parts.items())
    expected = {f"{name}_{i:03}": {**rows, "label": None} for name, rows in alone.items() for i in range(30)}
    check_store(many.out, expected)


@pytest.mark.long
def test_a_store_that_cannot_be_written_any_more_is_one_line(on_ray, many: PrecomputeOptions, tmp_path: Path) -> None:
    with start_job(many) as process:
        wait_for_part(many.out, process)
        Path(many.out).rename(tmp_path / "aside")
        Path(many.out).write_text("no folder any more")
        _, log = process.communicate(timeout=200)
    assert process.returncode == 1, log
    assert "Traceback" not in log
    assert "run the same command to resume" in log.splitlines()[-1]
    Path(many.out).unlink()
    (tmp_path / "aside").rename(many.out)
    assert AttentionStore.open(many.out, allow_partial=True)
    assert precompute(many) == 0


@pytest.mark.long
def test_a_writer_that_dies_while_it_starts_is_started_again(
    on_ray, options: PrecomputeOptions, alone: dict[str, dict], caplog: pytest.LogCaptureFixture
) -> None:
    killed = threading.Event()

    def kill_the_first() -> None:
        while not killed.wait(0.005):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it may be gone by now
                    if "ray::Writer" in " ".join(process.cmdline()) and not killed.is_set():
                        process.kill()
                        killed.set()

    thread = threading.Thread(target=kill_the_first)
    thread.start()
    try:
        assert precompute(options) == 0
    finally:
        assert killed.is_set()
        thread.join()
    assert "a writer died; its unwritten rows are computed again" in caplog.text
    check_store(options.out, alone)


@pytest.mark.parametrize(("maps", "said"), [(0, "all maps of 4 videos are zero"), (1, "")])
def test_a_cnn_without_any_attention_is_told_when_its_store_is_done(
    tmp_path: Path, new_manifest, write_store, caplog: pytest.LogCaptureFixture, maps: float, said: str
) -> None:
    rows = {"logits": np.eye(3, dtype=np.float32)[[0, 1]], "maps": np.full((2, 3, 4, 4), maps, np.float16)}
    store = write_store(str(tmp_path / "store"), new_manifest(), {f"v{number}": rows for number in range(4)})
    with caplog.at_level("WARNING"):
        warn_of_one_answer(store)
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)
