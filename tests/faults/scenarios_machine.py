"""Faults of the machine: a full disk, a full /dev/shm and temporary folder, a clock that jumps."""

import contextlib
import dataclasses
import glob
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .left import Left
from .material import COLUMNS, Material
from .s3_trouble import Trouble, bucket_in_trouble, upload
from .store_run import INJECTION, StoreRun

TIMEOUT_S = 900
AMPLE_KB = 1 << 20
BEFORE_COMPRESSION = 2  # bytes per value in the store
DAYS_S = 24 * 3600
FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def full_disk(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The store's disk is full, then grows a little, and is full again."""
    whole = sum(rows[name].size * BEFORE_COMPRESSION for rows in material.rows.values() for name in COLUMNS) // 1024
    with _disk(folder / "disk", whole // 4) as disk:
        run = StoreRun(material, str(disk / "store"), folder / "run", seed=seed)
        for number in range(1, times + 1):
            with run.start() as job:
                if job.wait(TIMEOUT_S) == 0:
                    break
            run.note("full disk")
            last = run.log().splitlines()[-1]
            assert "no space left" in last, run.log()
            assert "Traceback" not in run.log()
            _resize(disk, whole // 4 + number * whole // (4 * times))
        _resize(disk, AMPLE_KB)
        run.finish(most_runs=run.runs + 3, timeout_s=TIMEOUT_S)
        return run.ended()


class _WithoutSharedMemory(StoreRun):
    @property
    def command(self) -> list[str]:
        return [str(INJECTION / "without_shared_memory.py"), *super().command]


def no_room_for_copies(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Videos from S3 do not fit in /dev/shm and, for some seconds, not in the temporary folder either."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    trace = folder / "run" / "trace.txt"
    with (
        _disk(folder / "tmp", 8 << 10) as temporary,
        bucket_in_trouble(folder, Trouble((), 0, 0.0, 0), trace) as (url, settings),
    ):
        there = dataclasses.replace(material, videos=upload(material.videos, url))
        room = {"TMPDIR": str(temporary), "RAY_TMPDIR": "/tmp", "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1"}  # noqa: S108
        run = _WithoutSharedMemory(
            there,
            str(folder / "store"),
            folder / "run",
            environment={**settings, **room},
            flags=("--max-failed-fraction", "0"),
        )
        code = -1
        while code not in (0, 2) and run.runs < 5 + times:
            with run.start() as job:
                while job.poll() is None:
                    wanted = run.reached("decode") + chance.randint(1, 3)
                    while job.poll() is None and (not times or run.reached("decode") < wanted):
                        time.sleep(0.01)
                    if job.poll() is None:
                        times -= 1
                        run.note("no room for copies")
                        _fill_for(temporary, chance.uniform(0.5, 3))
                code = job.wait(TIMEOUT_S)
        return run.ended()


def clock_jumps(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """The job's wall clock jumps forward and back by days; its monotonic clock does not."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    _set(clock, 0)
    faked = {
        "LD_PRELOAD": f"{_kernel_sleep(folder)}:{glob.glob(FAKETIME)[0]}",
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
    run = StoreRun(material, str(folder / "store"), folder / "run", environment=faked)
    code = -1
    while code not in (0, 2) and run.runs < 5:
        with run.start() as job:
            while job.poll() is None:
                time.sleep(chance.uniform(0.3, 1.5))
                if times and run.reached("decode"):
                    times -= 1
                    _set(clock, chance.choice((-1, 1)) * chance.randint(DAYS_S, 9 * DAYS_S))
                    run.note("clock jumps")
            code = job.wait(TIMEOUT_S)
    return run.ended()


def may_mount() -> bool:
    """Return whether this process may mount file systems."""
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False, capture_output=True)
    return tried.returncode == 0


def may_fake_clock() -> bool:
    return bool(glob.glob(FAKETIME)) and shutil.which("cc") is not None


def _kernel_sleep(folder: Path) -> Path:
    library = folder / "kernel_sleep.so"
    source = INJECTION / "kernel_sleep.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    return library


@contextlib.contextmanager
def _disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """Mount a file system of a given size on a new folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _resize(disk: Path, size_kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_kb}k", disk], check=True)


def _fill_for(folder: Path, seconds: float) -> None:
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    time.sleep(seconds)
    filler.unlink()


def _set(clock: Path, offset_s: int) -> None:
    hidden = clock.with_suffix(".new")
    hidden.write_text(f"{offset_s:+d}\n")
    hidden.replace(clock)


SCENARIOS = {
    "full disk": full_disk,
    "no room for copies": no_room_for_copies,
    "clock jumps": clock_jumps,
}
