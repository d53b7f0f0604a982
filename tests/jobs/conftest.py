"""Fixture that runs the scripts as a user does: each in its own process, checked by exit code and output."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RunJob = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_job(tmp_path: Path) -> RunJob:
    """Function `run_job("pack.py", "--videos", …)` that returns a result with returncode, stdout and stderr.

    Scripts run in a temporary working directory. Relative script paths are resolved in `jobs/`.
    """

    def run(script: str, *args: object, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "jobs" / script), *map(str, args)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
