"""Precompute runs with injected faults.

The job runs as a user runs it, in its own process with its own Ray, and the same command is repeated until it succeeds.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from .left import DONE, Left, Trace, look
from .material import COLUMNS, STRIDE, Material

ROOT = Path(__file__).resolve().parents[2]
INJECTION = Path(__file__).with_name("injection")
HARNESS = "attn_fault_harness"
POINTS = ("decode", "maps", "write", "commit", "committed")


@dataclasses.dataclass(frozen=True)
class Fault:
    """Fault at a fault point: its action, the share of the videos that it affects, and its maximum number."""

    action: str
    point: str
    share: float
    most: int


class CannotBeMadeHereError(Exception):
    """Raised if this machine does not permit a kind of fault."""


class _Job(subprocess.Popen[bytes]):
    """Process whose context kills it if the block fails, instead of waiting for its end."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and self.poll() is None:
            end_tree(self)
        super().__exit__(kind, error, trace)


class StoreRun:
    """Store that is computed under faults.

    Args:
        material: input and expected rows.
        out: URL of the store.
        folder: folder for the plan, the trace and the log.
        faults: faults to inject at fault points.
        seed: seed that selects the affected videos.
        environment: additional environment variables of the job.
        flags: additional flags of the job.
    """

    def __init__(
        self,
        material: Material,
        out: str,
        folder: Path,
        faults: Sequence[Fault] = (),
        *,
        seed: int = 0,
        environment: dict[str, str] | None = None,
        flags: Sequence[str] = (),
    ):
        self.material, self.out, self.folder = material, out, folder
        self._flags = flags
        self.runs = 0
        self.prefix: Sequence[str] = ()
        self._last: _Job | None = None
        (folder / "claims").mkdir(parents=True)
        plan = {"seed": seed, "faults": [dataclasses.asdict(fault) for fault in faults]}
        (folder / "plan.json").write_text(json.dumps(plan))
        (folder / "trace.txt").touch()
        usual = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        path = os.pathsep.join([str(INJECTION), str(ROOT)])
        self.environment = usual | {
            "PYTHONPATH": path,
            "ATTN_FAULT_HARNESS": HARNESS,
            "ATTN_FAULT_FOLDER": str(folder),
            "RAY_AUTH_MODE": "disabled",
            **(environment or {}),
        }

    @property
    def command(self) -> list[str]:
        material = self.material
        paths = ["--videos", material.videos, "--weights", material.weights, "--out", self.out]
        paths += ["--labels", material.labels]
        usual = [
            "--stride",
            str(STRIDE),
            "--columns",
            *COLUMNS,
            "--part-mb",
            "1",
            "--batch-size",
            "16",
            "--decode-timeout-s",
            "10",
        ]
        return ["jobs/precompute.py", *paths, *usual, *self._flags]

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the job in its own process group, with its output in `log.txt`."""
        self.runs += 1
        with (self.folder / "log.txt").open("ab") as log:
            self._last = _Job(
                [*self.prefix, sys.executable, *self.command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._last

    def finish(self, *, most_runs: int = 10, timeout_s: float = 400) -> int:
        """Repeat the command until it ends with exit code 0 or 2, and return the last exit code."""
        code = -1
        while code not in (0, 2) and self.runs < most_runs:
            with self.start() as job:
                code = job.wait(timeout_s)
        return code

    def ended(self, *, tries: int = 1, timeout_s: float = 900) -> Left:
        """Return the damage after a run that should be done; first runs the command again, which must change nothing.

        Args:
            tries: maximum number of attempts at this final command, because a storage may still be failing.
            timeout_s: timeout of an attempt.
        """
        unfinished = self._wrong_end("the last command")
        self._trace(DONE)
        runs, code = self.runs, -1
        while code and self.runs < runs + tries:
            with self.start() as job:
                code = job.wait(timeout_s)
        self._trace(DONE)
        self.runs = runs
        left = self.left()
        unfinished += self._wrong_end("the one after it")
        return dataclasses.replace(left, unfinished=(*unfinished, *left.unfinished))

    def break_off(self, job: "subprocess.Popen[bytes]") -> None:
        """Kill the driver with SIGKILL and record the fault."""
        self.note("kill driver")
        job.kill()
        job.wait()

    def note(self, fault: str, video: str = "") -> None:
        """Record that a fault happens now.

        Args:
            fault: name of the fault.
            video: ID of the affected video, if known.
        """
        self._trace(f"{fault}@harness", video)

    def trace(self) -> list[tuple[float, str, str]]:
        """All events as (time in seconds, point or fault, video ID)."""
        return [(time_s, what, video) for time_s, _, what, video in self._lines()]

    def reached(self, point: str) -> int:
        """Number of times that a point was reached."""
        return sum(what == point for _, what, _ in self.trace())

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def left(self) -> Left:
        """Damage of the store in its current state."""
        return look(self.out, self.material, self._lines(), self.runs)

    def _wrong_end(self, command: str) -> list[str]:
        """Describe the exit code of the last command; empty if it was 0."""
        code = self._last.returncode if self._last else None
        return [] if code == 0 else [f"{command} ended with {code}"]

    def _trace(self, what: str, video: str = "") -> None:
        with (self.folder / "trace.txt").open("a") as trace:
            trace.write(f"{time.monotonic():.4f}\t0\t{what}\t{video}\n")

    def _lines(self) -> Trace:
        lines = [line.split("\t") for line in (self.folder / "trace.txt").read_text().splitlines()]
        return sorted((float(time_s), process, what, video) for time_s, process, what, video in lines)


def end_tree(job: "subprocess.Popen[bytes]") -> None:
    """Kill a job and all its child processes with SIGKILL."""
    children = psutil.Process(job.pid).children(recursive=True)
    job.kill()
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    job.wait()
