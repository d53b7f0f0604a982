"""Two runs that write the same store at the same time."""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from .left import Left
from .material import Material
from .s3_trouble import Trouble, bucket_in_trouble
from .store_run import ROOT, StoreRun, end_tree

TIMEOUT_S = 900
REFUSED = "another run is using this folder"


def two_runs_on_a_disk(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """A second run into the same folder ends with exit code 2 and a one-line error; the first finishes.

    The driver of the first run is paused meanwhile, so that it does not finish before the second has started.
    """
    run = StoreRun(material, str(folder / "store"), folder / "run", seed=seed)
    with run.start() as first:
        while run.reached("decode") == 0 and not _ended(first):
            time.sleep(0.02)
        for _ in range(times):
            if _ended(first):
                break
            first.send_signal(signal.SIGSTOP)
            try:
                _refused(run)
            finally:
                first.send_signal(signal.SIGCONT)
            time.sleep(0.2)
        assert first.wait(TIMEOUT_S) == 0, run.log()
    return run.ended()


def two_runs_in_a_bucket(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Two runs write one store in a bucket: both finish, and every row is stored once.

    There is one pair of runs, whatever `times`. Buckets have no lock, so both runs may compute the same video by
    design; `redone` counts only videos that the same run computed twice.
    """
    with _bucket(folder) as (url, settings):
        run, other = (_run(material, url, folder / name, settings, seed) for name in ("run", "other"))
        run.note("second run")
        with run.start() as first, other.start() as second:
            assert first.wait(TIMEOUT_S) == 0, run.log()
            assert second.wait(TIMEOUT_S) == 0, other.log()
        left = run.ended()
        _verify(run)
        return left


def one_of_two_runs_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Second runs into a store in a bucket are killed until the first run finishes; another run completes it.

    Both runs may compute the same video by design.
    """
    chance = random.Random(seed)
    with _bucket(folder) as (url, settings):
        run = _run(material, url, folder / "run", settings, seed)
        with run.start() as first:
            for number in range(times):
                other = _run(material, url, folder / f"other{number}", settings, seed)
                wanted = chance.randint(1, 4)
                with other.start() as second:
                    while other.reached("write") < wanted and not _ended(first, second):
                        time.sleep(0.02)
                    if not _ended(second):
                        run.note("kill one of two")
                        end_tree(second)
                if _ended(first):
                    break
            assert first.wait(TIMEOUT_S) == 0, run.log()
        assert run.finish(most_runs=run.runs + 1, timeout_s=TIMEOUT_S) == 0, run.log()
        left = run.ended()
        _verify(run)
        return left


def _run(material: Material, url: str, folder: Path, settings: dict[str, str], seed: int) -> StoreRun:
    return StoreRun(material, f"{url}/store", folder, seed=seed, environment=settings)


def _bucket(folder: Path) -> contextlib.AbstractContextManager[tuple[str, dict[str, str]]]:
    folder.mkdir(parents=True, exist_ok=True)
    return bucket_in_trouble(folder, Trouble((), 0, 0.0, 0), folder / "run" / "trace.txt")


def _refused(run: StoreRun) -> None:
    """Start another run with the same command and check that it is rejected."""
    run.note("second run")
    command = [sys.executable, *run.command]
    second = subprocess.run(
        command, cwd=ROOT, env=run.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    errors = [line for line in second.stderr.splitlines() if line.startswith("error: ")]
    assert second.returncode == 2, second.stderr
    assert len(errors) == 1, second.stderr
    assert REFUSED in errors[0]
    assert "Traceback" not in second.stderr


def _verify(run: StoreRun) -> None:
    command = [sys.executable, "jobs/verify.py", "--store", run.out, "--videos", run.material.videos, "--deep"]
    verdict = subprocess.run(
        command, cwd=ROOT, env=run.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr + run.log()


def _ended(*jobs: "subprocess.Popen[bytes]") -> bool:
    return any(job.poll() is not None for job in jobs)


SCENARIOS = {
    "second run, on a disk": two_runs_on_a_disk,
    "second run, in a bucket": two_runs_in_a_bucket,
    "one of two runs killed": one_of_two_runs_killed,
}
