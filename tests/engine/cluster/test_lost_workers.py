"""A worker or its machine is lost while it trains: it goes on elsewhere, and ends as one that was never broken."""

import json
import re
from pathlib import Path

import pytest
import torch

from attn.models.checkpoint import load_checkpoint
from attn.models.energynet_file import load_energynet
from attn.training.trial_records import read_trials, trial_url

METRICS = "energynet.train/metrics.jsonl"

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a machine of two cores is busy with all of these


@pytest.fixture(scope="module")
def nodes(start_nodes):
    """A head for the driver, which has no CPU for a worker, and two machines of one."""
    started = start_nodes(num_cpus=0)
    try:
        for _ in range(2):
            started.add(num_cpus=1)
        yield started
    finally:
        started.end()


@pytest.fixture
def lose_a_worker(nodes, wait_for):
    """lose_a_worker(job, metrics): kills all of a machine that trains, once some rows are told; another one joins."""

    def lose(job, metrics):
        wait_for(lambda: job.alive() and len(lines(metrics)) >= 3, "three rows of metrics")
        lost = next(node for node in nodes.alive - {nodes.head} if nodes.processes(node, "RayTrainWorker"))
        before = len(lines(metrics))
        nodes.lose(lost)
        nodes.add(num_cpus=1)
        return before

    return lose


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def check_resumed(printed, unit):
    found = re.search(rf"workers were lost; resuming after {unit} (\d+) of", printed)
    assert found, printed
    assert int(found[1]) > 0


def test_train_cnn_loses_a_machine(nodes, lose_a_worker, photographs, tmp_path):
    settings = f"--images {photographs} --backbone small_cnn --input-size 32 --batch-size 7 --head-lr 0.3 --epochs 25"
    flags = [*settings.split(), "--batchnorm", "frozen", "--workers", "2", "--out"]
    broken = nodes.submit("jobs/train_cnn.py", *flags, str(tmp_path / "broken.safetensors"))
    before = lose_a_worker(broken, tmp_path / "broken.train" / "metrics.jsonl")
    code, printed = broken.wait(400)
    assert code == 0, printed
    assert before < 25
    check_resumed(printed, "epoch")
    code, printed = nodes.submit("jobs/train_cnn.py", *flags, str(tmp_path / "whole.safetensors")).wait(400)
    assert code == 0, printed
    one, other = (load_checkpoint(str(tmp_path / f"{name}.safetensors")) for name in ("broken", "whole"))
    assert one.trained["best_epoch"] == other.trained["best_epoch"]
    for name, tensor in other.backbone.export_weights().items():
        torch.testing.assert_close(one.backbone.export_weights()[name], tensor, rtol=0, atol=1e-6)


def test_train_energynet_loses_a_machine(nodes, lose_a_worker, planted, tmp_path):
    settings = (
        f"--store {planted}/store --split {planted}/train.txt --holdout-fraction 0.25 --updates 3000 --patience 0"
    )
    quick = "--look-every 100 --candidates-initial 32 --candidates-final 64 --num-hard 16 --lr 0.01 --workers 2 --out"
    flags = [*settings.split(), *quick.split()]
    broken = nodes.submit("jobs/train_energynet.py", *flags, str(tmp_path / "broken"))
    before = lose_a_worker(broken, tmp_path / "broken" / "energynet.train" / "metrics.jsonl")
    code, printed = broken.wait(400)
    assert code == 0, printed
    assert before < 30
    check_resumed(printed, "update")
    code, printed = nodes.submit("jobs/train_energynet.py", *flags, str(tmp_path / "whole")).wait(400)
    assert code == 0, printed
    one, other = (load_energynet(str(tmp_path / name)) for name in ("broken", "whole"))
    assert one.trained["kept_update"] == other.trained["kept_update"]
    for name, tensor in other.net.state_dict().items():
        torch.testing.assert_close(one.net.state_dict()[name], tensor, rtol=0, atol=1e-6)


def test_a_search_loses_a_worker_and_a_machine(nodes, wait_for, planted, tmp_path):
    """Both trials of each were under way; all looks of every trial are there, once."""
    out = tmp_path / "search"
    flags = f"--store {planted}/store --split {planted}/train.txt --out {out} --trials 4 --updates 3000"
    quick = "--look-every 100 --candidates-initial 32 --candidates-final 64 --num-hard 16 --scheduler none"
    job = nodes.submit("tune/search.py", *flags.split(), *quick.split())

    def trial_at_work():
        found = [(node, process) for node in nodes.alive for process in nodes.processes(node, "ImplicitFunc")]
        return job.alive() and max(map(looks, range(1, 5))) >= 3 and found[0] if found else None

    def looks(number):
        return len(lines(Path(trial_url(str(out), number)) / METRICS))

    _, worker = wait_for(trial_at_work, "a trial at work")
    worker.kill()
    wait_for(lambda: job.alive() and any(trial.status == "finished" for trial in read_trials(str(out))), "one trial")
    lost, _ = wait_for(trial_at_work, "another trial at work")
    nodes.lose(lost)
    nodes.add(num_cpus=1)
    code, printed = job.wait(400)
    assert code == 0, printed
    trials = read_trials(str(out))
    assert [(trial.number, trial.status) for trial in trials] == [(number, "finished") for number in range(1, 5)]
    for trial in trials:
        told = [json.loads(line)["update"] for line in lines(Path(trial_url(str(out), trial.number)) / METRICS)]
        assert told == [row["update"] for row in trial.rows] == [0, *range(100, 3001, 100)]
