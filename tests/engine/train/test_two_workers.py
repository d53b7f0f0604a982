import dataclasses
import logging
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
import ray.train

from attn.commands.train_cnn import train_cnn
from attn.engine.train.worker import train_worker
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint
from attn.training.run import TrainRun


@pytest.mark.long
def test_two_workers_of_which_one_is_killed_learn_what_one_learns(ray_local, trained, tmp_path, caplog):
    two = dataclasses.replace(trained, out=str(tmp_path / "cnn.safetensors"), cache=str(tmp_path / "cache"), workers=2)
    run, killed = TrainRun(two.out, {}), []

    def kill():
        while len(run.metrics()) < 2:  # so that Ray has registered the first epoch
            time.sleep(0.02)
        killed.append(_worker_pid(ray_local))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with caplog.at_level(logging.INFO):
        assert train_cnn(two) == 0
    thread.join()
    assert re.search("workers were lost; resuming after epoch [123] of 4", caplog.text)
    assert [row["epoch"] for row in run.metrics()] == [1, 2, 3, 4]
    one, other = (load_checkpoint(options.out) for options in (trained, two))
    assert other.trained["images"] == one.trained["images"]
    for name, tensor in other.backbone.export_weights().items():
        assert (tensor - one.backbone.export_weights()[name]).abs().max() < 1e-4
    assert list((tmp_path / "cache").glob("*/manifest.json"))


@pytest.mark.long
def test_what_one_worker_cannot_do_ends_both_with_its_line(ray_local, training, tmp_path, monkeypatch):
    (tmp_path / "full").write_text("a file, where the second worker's machine should have a folder")
    (tmp_path / "said").mkdir()

    def worker(config):
        rank = ray.train.get_context().get_world_rank()
        cache = tmp_path / "full" if rank == 1 else tmp_path / "cache"
        word = train_worker({**config, "job": dataclasses.replace(config["job"], cache_folder=str(cache))})
        (tmp_path / "said" / str(rank)).write_text(str(word))
        return word

    monkeypatch.setattr("attn.engine.train.driver.train_worker", worker)
    monkeypatch.setattr("attn.engine.train.run_trainer.GROUP_TIMEOUT_S", 60)  # for a worker that would wait forever
    monkeypatch.setattr("attn.engine.train.run_trainer.MOST_FAILURES", 0)
    out = tmp_path / "out" / "cnn.safetensors"
    with pytest.raises(UsageError, match=r"cache .*/full: .*Give another folder with --cache") as refused:
        train_cnn(dataclasses.replace(training, out=str(out), workers=2))
    assert [(tmp_path / "said" / str(rank)).read_text() for rank in range(2)] == [str(refused.value)] * 2
    assert "\n" not in str(refused.value)
    assert not list(out.parent.iterdir())


def _worker_pid(ray):
    """Return the process of the training worker of this Ray session; the machine may run others."""
    raylet = ray._private.worker._global_node.all_processes["raylet"][0].process.pid
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name = status.with_name("cmdline").read_bytes()
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == raylet and b"RayTrainWorker" in name:
            return int(status.parent.name)
    raise AssertionError("no training worker")
