"""Faults inside a run: killed or hanging tasks, actors, writers, decoders, drivers, nodes and heads."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .left import Left
from .material import Material
from .nodes import Nodes
from .store_run import CannotBeMadeHereError, Fault, StoreRun

TIMEOUT_S = 900


def _at_point(action: str, point: str) -> Callable[..., Left]:
    def scenario(material: Material, folder: Path, *, seed: int, times: int) -> Left:
        faults = [Fault(action, point, share=0.7, most=times)]
        run = StoreRun(
            material, str(folder / "store"), folder / "harness", faults, seed=seed, flags=("--decode-timeout-s", "4")
        )
        run.finish(timeout_s=TIMEOUT_S)
        return run.ended()

    scenario.__doc__ = f"{action} at the point {point}"
    return scenario


def driver_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill the driver with SIGKILL at random times."""
    chance = random.Random(seed)
    run = StoreRun(material, str(folder / "store"), folder / "harness")
    for _ in range(times):
        before = run.reached("write")
        with run.start() as job:
            wanted = before + chance.randint(1, 6)
            _wait(lambda wanted=wanted, job=job: run.reached("write") >= wanted or job.poll() is not None)
            time.sleep(chance.random())
            if job.poll() is not None:
                break
            run.break_off(job)
    run.finish(most_runs=run.runs + 10, timeout_s=TIMEOUT_S)
    return run.ended()


def node_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill all processes of one of three nodes with SIGKILL, and replace the node."""
    chance = random.Random(seed)
    run = StoreRun(material, str(folder / "store"), folder / "harness", flags=("--actors", "1", "2"))
    with Nodes(run.environment, 1, 1, 1) as nodes:
        run.environment["RAY_ADDRESS"] = nodes.address
        run.folder.joinpath("cluster.txt").write_text(nodes.address)
        done = False
        while not done:
            with run.start() as job:
                while job.poll() is None:
                    reached = run.reached("write") + chance.randint(1, 8)
                    _wait(lambda reached=reached, job=job: run.reached("write") >= reached or job.poll() is not None)
                    if job.poll() is None and times:
                        times -= 1
                        run.note("kill node")
                        nodes.lose(chance.choice(nodes.workers))
                        nodes.add(1)
                done = job.returncode == 0 or run.runs > 12
        return run.ended()


def head_killed(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Kill the head and all nodes with SIGKILL, and submit the job to a new cluster."""
    chance = random.Random(seed)
    run = StoreRun(material, str(folder / "store"), folder / "harness")
    for _ in range(times):
        with Nodes(run.environment, 1, 1) as nodes:
            run.environment["RAY_ADDRESS"] = nodes.address
            wanted = run.reached("write") + chance.randint(1, 6)
            with run.start() as job:
                _wait(lambda wanted=wanted, job=job: run.reached("write") >= wanted or job.poll() is not None)
                run.note("kill head")
                nodes.kill()
                job.wait(TIMEOUT_S)
            run.environment.pop("RAY_ADDRESS")
    with Nodes(run.environment, 1, 1) as nodes:
        run.environment["RAY_ADDRESS"] = nodes.address
        run.finish(most_runs=run.runs + 10, timeout_s=TIMEOUT_S)
        return run.ended()


def out_of_memory(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Let a decode task of a job with 7 GB allocate memory until the kernel kills it."""
    faults = [Fault("leak", "decode", share=0.7, most=times)]
    run = StoreRun(material, str(folder / "store"), folder / "harness", faults, seed=seed)
    with _memory_group(7 * 2**30) as group:
        run.prefix = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        run.finish(timeout_s=TIMEOUT_S)
        return run.ended()


@contextlib.contextmanager
def _memory_group(most_bytes: int) -> Iterator[Path]:
    """Control group that limits the memory of all its processes together; it must be empty at the end."""
    old = Path("/sys/fs/cgroup/memory")
    group = (old if old.exists() else Path("/sys/fs/cgroup")) / f"attn-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if old.exists() else "memory.max")).write_text(str(most_bytes))
    except OSError as error:
        raise CannotBeMadeHereError(f"no memory limit: {error}") from error
    try:
        yield group
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                os.kill(int(process), signal.SIGKILL)
        _wait(lambda: not (group / "cgroup.procs").read_text().split(), 20)
        group.rmdir()


def _wait(happened: Callable[[], bool], timeout_s: float = 300) -> None:
    until = time.monotonic() + timeout_s
    while not happened() and time.monotonic() < until:
        time.sleep(0.05)


SCENARIOS: dict[str, Callable[..., Left]] = {
    "task dies (decode)": _at_point("kill", "decode"),
    "actor dies (maps)": _at_point("kill", "maps"),
    "writer dies (write)": _at_point("kill", "write"),
    "writer dies before a part appears (commit)": _at_point("kill", "commit"),
    "writer dies after a part appeared (committed)": _at_point("kill", "committed"),
    "actor crashes (maps)": _at_point("segfault", "maps"),
    "decoder killed": _at_point("kill decoder", "decode"),
    "decoder crashes": _at_point("segfault decoder", "decode"),
    "decoder hangs": _at_point("hang decoder", "decode"),
    "out of memory": out_of_memory,
    "driver killed": driver_killed,
    "machine lost": node_killed,
    "head lost": head_killed,
}
