"""`jobs/adapt_cnn.py` as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.models.adapt import reestimate
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint

RunJob = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flags(tmp_path: Path, write_clip: Callable[..., Path], numbered: Callable[[int], list[np.ndarray]]) -> list[object]:
    backbone = build_backbone("small_cnn", 2)
    reestimate(backbone, [torch.randn(8, 3, 32, 32)])
    save_checkpoint(str(tmp_path / "cnn.safetensors"), Cnn(backbone, "small_cnn", ("Wave", "Kick"), input_size=32))
    (tmp_path / "videos").mkdir()
    for name, images in (("a", numbered(100)), ("b", numbered(170)[100:])):
        (tmp_path / "videos" / f"{name}.mkv").symlink_to(write_clip(images))
    return ["--weights", tmp_path / "cnn.safetensors", "--videos", tmp_path / "videos", "--stride", 1]


def test_adapts_and_says_how_far(run_job: RunJob, flags: list[object], tmp_path: Path) -> None:
    done = run_job("adapt_cnn.py", *flags, "--frames", 140, "--out", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = [line[9:] for line in done.stderr.splitlines()]
    assert lines[0] == f"{tmp_path / 'videos'}: 2 videos, up to 140 frames"
    assert lines[1].startswith("128 frames of 2 videos; decoded in ")
    assert lines[2].startswith("statistics of 584 channels moved: means by ")
    assert "; next: python jobs/precompute.py " in lines[3]
    assert len(lines) == 4
    assert load_checkpoint(str(tmp_path / "out.safetensors")).trained["adapted"]["videos"] == 2


def test_bad_input_is_one_line(run_job: RunJob, flags: list[object], tmp_path: Path) -> None:
    done = run_job("adapt_cnn.py", *flags, "--frames", 100, "--out", tmp_path / "out.safetensors")
    assert (done.returncode, done.stdout) == (2, "")
    assert "100 frames, too few" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()
