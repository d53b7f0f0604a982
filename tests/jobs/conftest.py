"""Fixtures that run the scripts as a user does: in a process of their own, or by their command line in this one."""

import json
import logging
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.detection_files import SCRIPT, results_json, truth_json

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


@pytest.fixture
def detection_job(monkeypatch):
    """detection_job(*words): exit code of the script with these words on its command line."""
    main = runpy.run_path(str(SCRIPT))["main"]
    on_sigterm, level = signal.getsignal(signal.SIGTERM), logging.getLogger("attn").level

    def run(*words):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
        try:
            return main()
        except SystemExit as end:
            return end.code

    yield run
    signal.signal(signal.SIGTERM, on_sigterm)
    logging.getLogger("attn").setLevel(level)


@pytest.fixture
def detection_files(tmp_path):
    """detection_files(name=content, …): writes JSON files, and returns the flags that name them and the output."""

    def write(**contents):
        contents = {"truth": truth_json(), "found": results_json()} | contents
        for name, content in contents.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}.json").write_text(text)
        return (
            *("--detections", tmp_path / "found.json", "--annotations", tmp_path / "truth.json"),
            *("--out", tmp_path / "out", "--resamples", 20),
        )

    return write
