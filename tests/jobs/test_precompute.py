"""The script as a user runs it: S3 from end to end, clean logs, exit codes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
import torch

from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.storage.store import AttentionStore

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

    # Ray's core prints this of every pool whose actors may be restarted; Ray Data keeps the arguments it speaks of.
    lines = [line for line in done.stderr.splitlines() if "github.com/ray-project/ray/issues/53727" not in line]
    noise = [line for line in lines if not re.match(r"\d\d:\d\d:\d\d ", line)]
    assert not noise, done.stderr
    assert re.search(r"3/3 videos, [\d.]+ frames/s, 0 failed, ETA", done.stderr)


def test_wrong_bucket_is_one_line_and_costs_no_work(run_job: Callable, s3: str, clips: Path, cnn: Cnn) -> None:
    save_checkpoint(f"{s3}/cnn.safetensors", cnn)
    flags = ("--videos", clips, "--weights", f"{s3}/cnn.safetensors", "--out", "s3://attn-no-such-bucket/store")
    refused = run_job("precompute.py", *flags)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "attn-no-such-bucket" in refused.stderr
