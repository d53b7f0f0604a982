import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.models.checkpoint import load_checkpoint

SCRIPT = Path(__file__).resolve().parents[2] / "jobs" / "train_cnn.py"
EPOCHS = 12


@pytest.fixture
def flags(tmp_path):
    """Flags of a training with short epochs, on bright and dark images as the two classes."""
    random = np.random.default_rng(0)
    for name, level in (("bright", 128), ("dark", 0)):
        (tmp_path / "web" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(level, level + 128, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "web" / name / f"{number}.png")
    settings = {
        "images": tmp_path / "web",
        "backbone": "small_cnn",
        "out": tmp_path / "out" / "cnn.safetensors",
        "input-size": 32,
        "batch-size": 4,
        "epochs": EPOCHS,
    }
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.long
def test_a_killed_training_goes_on_where_it_was(run_job, flags, tmp_path):
    metrics = tmp_path / "out" / "cnn.train" / "metrics.jsonl"
    with subprocess.Popen([sys.executable, str(SCRIPT), *flags], stderr=subprocess.DEVNULL) as job:
        while job.poll() is None and len(lines(metrics)) < 2:
            time.sleep(0.02)
        job.send_signal(signal.SIGKILL)
    before = lines(metrics)
    assert 2 <= len(before) < EPOCHS
    result = run_job("train_cnn.py", *flags, timeout_s=250)
    assert result.returncode == 0, result.stderr
    resumed = int(re.search(rf"resuming after epoch (\d+) of {EPOCHS}", result.stderr)[1])
    assert resumed >= 1
    known = min(resumed, len(before))  # metrics and checkpoints are written separately, so either may be ahead
    told = [int(epoch) for epoch in re.findall(rf"epoch (\d+)/{EPOCHS}: loss", result.stderr)]
    assert told == list(range(known + 1, EPOCHS + 1))
    assert "validation accuracy" in result.stderr.splitlines()[-2]
    after = lines(metrics)
    assert after[:known] == before[:known]
    assert len(after) == EPOCHS
    assert load_checkpoint(str(tmp_path / "out" / "cnn.safetensors")).class_names == ("bright", "dark")


def test_bad_input_is_one_line_and_writes_nothing(run_job, flags, tmp_path):
    result = run_job("train_cnn.py", *flags, "--epochs", "0")
    assert result.returncode == 2
    assert result.stderr == "error: --epochs 0: too small. Give 1 or more.\n"
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_refused(run_job, flags, tmp_path):
    (tmp_path / "out").write_text("a file")
    result = run_job("train_cnn.py", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "out" in result.stderr
    assert result.stderr.count("\n") == 1
