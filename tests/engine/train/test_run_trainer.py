"""Start-up cost and failures of `fit`; test_cnn.py and test_energynet.py run complete trainings."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray.train

from attn.engine.train import run_trainer as fitting
from attn.engine.train.worker_placement import WorkerPlacement
from attn.errors import UsageError
from attn.training.run import TrainRun

SLOW = {"sklearn", "scipy", "torchvision", "torch._dynamo", "tensorboard", "optuna"}
WORKERS = ("engine.train.worker", "training.cnn_worker", "training.energynet_maps", "engine.dataflow")


def test_workers_load_nothing_slow_that_few_of_them_need():
    """Each import would cost seconds in every process of a training or an actor pool."""
    code = f"import sys, {', '.join(f'attn.{name}' for name in WORKERS)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert not loaded & SLOW


@pytest.fixture
def fit(ray_local, tmp_path, monkeypatch):
    """Function that runs a training loop without retries."""
    monkeypatch.setattr(fitting, "MOST_FAILURES", 0)
    run = TrainRun(str(tmp_path / "net.safetensors"), {})
    run.begin({})
    placement = WorkerPlacement(1, 1, gpu=False)
    return lambda loop: fitting.fit(loop, {}, run, placement, unit="epoch", total=1, line=lambda rows: "")


def test_a_training_in_this_process_logs_nothing_of_ray(tmp_path):
    lines = []
    handler = logging.Handler()
    handler.emit = lines.append
    logger = logging.getLogger("ray")
    logger.addHandler(handler)
    try:
        run = TrainRun(str(tmp_path / "net.safetensors"), {})
        run.begin({})
        placement = WorkerPlacement(1, 1, gpu=False, in_place=True)
        fitting.fit(lambda config: None, {}, run, placement, unit="epoch", total=1, line=lambda rows: "")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in lines] == []


@pytest.mark.long
def test_workers_that_die_are_one_line_and_ray_has_written_nothing_that_may_be_torn(fit, tmp_path):
    def loop(config):
        ray.train.report({"epoch": 1})
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UsageError) as refused:
        fit(loop)
    assert str(refused.value).startswith(
        "the workers died 1 time, most recently because: The actor is dead because its worker"
    )
    assert "\n" not in str(refused.value)
    found = [path for path in Path(tmp_path, "net.train").rglob("*") if path.is_file() and path.stat().st_size]
    assert {path.name.split(".")[0] for path in found} <= {"run", "events"}


@pytest.mark.long
def test_a_fault_of_the_loop_keeps_its_traceback(fit):
    def loop(config):
        raise ValueError("a bug")

    with pytest.raises(ray.train.WorkerGroupError, match=r"Traceback[\s\S]* in loop[\s\S]*ValueError: a bug"):
        fit(loop)
