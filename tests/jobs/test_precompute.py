"""`jobs/precompute.py` as a user runs it: S3 from end to end, clean logs, exit codes."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import av
import fsspec
import numpy as np
import pytest
import torch

from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.storage.store import AttentionStore

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = {"a b.c": 12, "v_Wave_g01_c01": 30, "ü": 1}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name, length in LENGTHS.items():
        with av.open(str(root / f"{name}.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for t in range(length):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, t, axis=0))))
            container.mux(stream.encode())
    return root


@pytest.fixture(scope="module")
def cnn() -> Cnn:
    torch.manual_seed(0)
    return Cnn(build_backbone("small_cnn", 2).eval(), "small_cnn", ("Wave", "Kick"), input_size=32)


@pytest.mark.long
def test_shards_weights_and_store_on_s3(run_job: Callable, s3: str, clips: Path, cnn: Cnn) -> None:
    weights = f"{s3}/cnn.safetensors"
    save_checkpoint(weights, cnn)
    packed = run_job("pack.py", "--videos", clips, "--out", f"{s3}/shards")
    assert packed.returncode == 0, packed.stderr
    flags = ("--videos", f"{s3}/shards", "--weights", weights, "--out", f"{s3}/store", "--stride", 2)
    done = run_job("precompute.py", *flags)
    assert done.returncode == 0, done.stderr
    store = AttentionStore.open(f"{s3}/store")
    assert {v.video_id: len(v.frame) for v in store.videos(["maps"])} == {
        name: -(-length // 2) for name, length in LENGTHS.items()
    }
    summary = json.loads(fsspec.open(f"{s3}/store/_SUCCESS.json").open().read())
    assert summary["rows"] == 22
    assert "testing-secret" not in done.stderr + packed.stderr

    noise = [line for line in done.stderr.splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line)]
    assert not noise, done.stderr
    assert re.search(r"3/3 videos, [\d.]+ frames/s, 0 failed, ETA", done.stderr)


def test_wrong_bucket_is_one_line_and_costs_no_work(run_job: Callable, s3: str, clips: Path, cnn: Cnn) -> None:
    save_checkpoint(f"{s3}/cnn.safetensors", cnn)
    flags = ("--videos", clips, "--weights", f"{s3}/cnn.safetensors", "--out", "s3://attn-no-such-bucket/store")
    refused = run_job("precompute.py", *flags)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "attn-no-such-bucket" in refused.stderr


def test_a_terminal_is_told_at_once_what_the_job_waits_for(tmp_path: Path) -> None:
    """The job stops with an error as soon as the weights are not found."""
    flags = (
        "--videos",
        tmp_path,
        "--weights",
        tmp_path / "gone.pth",
        "--backbone",
        "small_cnn",
        "--out",
        tmp_path / "s",
    )
    master, terminal = os.openpty()
    started_s = time.monotonic()
    command = [sys.executable, str(ROOT / "jobs/precompute.py"), *map(str, flags)]
    with subprocess.Popen(command, stderr=terminal) as job, os.fdopen(master, "rb", buffering=0) as screen:
        os.close(terminal)
        first, first_s = screen.read(1000), time.monotonic() - started_s
        rest = b"".join(_until_closed(screen))
    assert job.returncode == 2
    assert re.fullmatch(rb"\d\d:\d\d:\d\d loading libraries\r\n", first)
    assert 2 * first_s < time.monotonic() - started_s
    cnn, error = rest.decode().splitlines()
    assert cnn.endswith("gone.pth: loading the CNN")
    assert error.startswith("error: ")


def test_a_dry_run_on_one_machine_needs_no_ray(
    run_job: Callable, clips: Path, cnn: Cnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray cannot start in the configured temporary folder."""
    monkeypatch.setenv("RAY_TMPDIR", "/proc/none")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    save_checkpoint(str(tmp_path / "cnn.safetensors"), cnn)
    flags = ("--videos", clips, "--weights", tmp_path / "cnn.safetensors", "--out", tmp_path / "store")
    done = run_job("precompute.py", *flags, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"dry run: 3 videos to process, .* in this process", done.stderr)


def _until_closed(screen: IO[bytes]) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # the last writer has closed the terminal
        while True:
            yield screen.read(1000)
