"""Trainings that lose a worker, their driver or their newest checkpoint, compared with a training without faults.
Damage is counted in validations. *Lost* are validations missing from metrics.jsonl. *Doubled* are log lines that repeat
a validation from before the checkpoint that the training resumed from. *Redone* are validations that were repeated
although a good checkpoint existed after them. *Wrong* are tensors of the network that differ from those of the training
without faults.
"""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from tests.stores import plant

from .left import Left
from .material import Material
from .store_run import ROOT, end_tree

UPDATES, EVERY = 6000, 100
MOST_RUNS = 20
TIMEOUT_S = 900
FLAGS = f"--updates {UPDATES} --look-every {EVERY} --patience 0 --lr 0.01 --holdout-fraction 0.25"
SMALL = "--candidates-initial 32 --candidates-final 64 --num-hard 16"
RESUMED = re.compile(r"resuming after update (\d+) of")
TOLD = re.compile(rf"resuming after update (\d+) of|update (\d+)/{UPDATES}: ")


class Training:
    """Run of `jobs/train_energynet.py` whose command is repeated until it succeeds.

    Args:
        planted: folder of the store and its split list.
        out: output folder; the log is written beside it.
        workers: number of workers.

    Attributes:
        kept: for each fault, the number of validations that a good checkpoint covered after it.
    """

    def __init__(self, planted: Path, out: Path, workers: int = 1):
        paths = ["--store", str(planted / "store"), "--split", str(planted / "train.txt"), "--out", str(out)]
        self._command = ["jobs/train_energynet.py", *paths, *FLAGS.split(), *SMALL.split(), "--workers", str(workers)]
        self.out, self._log = out, out.with_suffix(".log")
        self._log.touch()
        self._struck: list[tuple[float, int]] = []
        self.kept: list[int] = []
        self._recovered: list[float] = []
        self.runs = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the job, and kill all its processes at the end of the context."""
        self.runs += 1
        usual = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        with self._log.open("ab") as log:
            job = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=usual | {"RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield job
        finally:
            if job.poll() is None:
                end_tree(job)

    def looks(self) -> list[int]:
        """Update numbers of all validations so far."""
        path = self.out / "energynet.train" / "metrics.jsonl"
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line)["update"] for line in path.read_text().splitlines()]
        return []

    def reached(self, job: "subprocess.Popen[bytes]", looks: int) -> bool:
        """Wait until there are as many validations; return False if the job ended before."""
        until = time.monotonic() + TIMEOUT_S
        while job.poll() is None and len(self.looks()) < looks:
            assert time.monotonic() < until, self.log()
            self._note_recovery()
            time.sleep(0.02)
        self._note_recovery()
        return job.poll() is None

    def note(self) -> None:
        """Record that a fault happens now; a checkpoint exists for every validation so far."""
        self._struck.append((time.monotonic(), len(self.looks())))
        self.kept.append(len(self.looks()))

    def states(self) -> list[Path]:
        """Folders of all complete checkpoints, the newest last."""
        return sorted(path.parent for path in self.out.glob("energynet.train/*/states/state-*/sums.json"))

    def note_damage(self) -> None:
        """Record that the last fault damaged the newest checkpoint."""
        before = self.states()[-2].name
        self.kept[-1] = int(before.split("-")[1]) // EVERY

    def finish(self) -> None:
        """Repeat the command until it succeeds, and then once more, which must change nothing."""
        code = -1
        while code != 0 and self.runs < MOST_RUNS:
            with self.running() as job:
                if self._struck:
                    self.reached(job, self._struck[-1][1] + 1)
                code = job.wait(TIMEOUT_S)
        assert code == 0, self.log()
        self._note_recovery()
        self._recovered += [time.monotonic() - moment for moment, _ in self._struck[len(self._recovered) :]]
        before = (self.out / "energynet.safetensors").stat().st_mtime_ns
        with self.running() as job:
            assert job.wait(TIMEOUT_S) == 0, self.log()
        assert (self.out / "energynet.safetensors").stat().st_mtime_ns == before
        self.runs -= 1

    def log(self) -> str:
        return self._log.read_text()

    def left(self, whole: "Training") -> Left:
        """Damage compared with a training without faults."""
        looks, wanted = self.looks(), set(range(EVERY, UPDATES + 1, EVERY))
        resumed = [int(update) // EVERY for update in RESUMED.findall(self.log())]
        assert len(resumed) == len(self._struck), self.log()
        return Left(
            faults=len(self._struck),
            lost=len(wanted - set(looks)),
            doubled=len(looks) - len(set(looks)) + told_again(self.log()),
            wrong=_different(self.out, whole.out),
            redone=made_anew(self.kept, resumed),
            recovery_s=self._recovered,
            runs=self.runs,
        )

    def _note_recovery(self) -> None:
        while len(self._recovered) < len(self._struck) and len(self.looks()) > self._struck[len(self._recovered)][1]:
            self._recovered.append(time.monotonic() - self._struck[len(self._recovered)][0])


def made_anew(kept: Sequence[int], resumed: Sequence[int]) -> int:
    """Number of validations that were repeated although a good checkpoint existed after them, summed over the faults.

    Args:
        kept: for each fault, the number of validations covered by a good checkpoint.
        resumed: for each fault, the number of validations from which the training resumed.
    """
    return sum(max(0, before - after) for before, after in zip(kept, resumed, strict=True))


def told_again(log: str) -> int:
    """Number of log lines that repeat a validation from before the checkpoint that the training resumed from."""
    told: set[int] = set()
    again = 0
    for resumed, look in TOLD.findall(log):
        if resumed:
            told = {update for update in told if update <= int(resumed)}
        else:
            again += int(look) in told
            told.add(int(look))
    return again


def worker_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill one of two workers with SIGKILL; the training recovers by itself from up to three such faults per run."""
    chance = random.Random(seed)
    whole, broken = _trainings(folder, workers=2)
    code = None
    while times and code != 0:
        with broken.running() as job:
            while times and broken.reached(job, len(broken.looks()) + chance.randint(2, 5)):
                time.sleep(chance.random() / 2)
                broken.note()
                chance.choice(_workers(job)).kill()
                times -= 1
            if not times:
                broken.reached(job, len(broken.looks()) + 1)
            code = job.wait(TIMEOUT_S)
    broken.finish()
    return broken.left(whole)


def driver_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill the driver of a training with SIGKILL at random times."""
    whole, broken = _trainings(folder)
    _kill_drivers(broken, random.Random(seed), times, lambda: None)
    broken.finish()
    return broken.left(whole)


def state_damaged(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill the driver of a training and corrupt its newest checkpoint: the training resumes from the previous one."""
    chance = random.Random(seed)
    whole, broken = _trainings(folder)

    def damage() -> None:
        time.sleep(5)  # the driver's Ray ends
        broken.note_damage()
        newest = broken.states()[-1]
        path = chance.choice([path for path in sorted(newest.iterdir()) if path.name != "sums.json"])
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 0xFF
        path.write_bytes(content)

    _kill_drivers(broken, chance, times, damage)
    broken.finish()
    left = broken.left(whole)
    assert len(re.findall(r": damaged .*\. Ignoring this checkpoint\.", broken.log())) == left.faults, broken.log()
    return left


def _kill_drivers(training: Training, chance: random.Random, times: int, then: Callable[[], None]) -> None:
    for _ in range(times):
        with training.running() as job:
            if not training.reached(job, len(training.looks()) + chance.randint(2, 6)):
                break
            time.sleep(chance.random() / 2)
            training.note()
            job.kill()
            job.wait()
        then()


def _workers(job: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Worker processes of the training."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = []
        for process in psutil.Process(job.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "RayTrainWorker" in " ".join(process.cmdline()):
                    found.append(process)
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("no training worker")


def _trainings(folder: Path, workers: int = 1) -> tuple[Training, Training]:
    """Return a finished training and one that has not started."""
    folder.joinpath("planted").mkdir()
    plant(folder / "planted")
    whole, broken = (Training(folder / "planted", folder / name, workers) for name in ("whole", "broken"))
    whole.finish()
    return whole, broken


def _different(one: Path, other: Path) -> int:
    """Number of tensors that differ between two networks."""
    from attn.models.energynet_file import load_energynet

    mine, theirs = (load_energynet(str(path)).net.state_dict() for path in (one, other))
    return sum(not np.allclose(mine[name], theirs[name], rtol=0, atol=1e-6) for name in theirs)


SCENARIOS: dict[str, Callable[..., Left]] = {
    "training: worker killed": worker_killed,
    "training: driver killed": driver_killed,
    "training: newest state damaged": state_damaged,
}
