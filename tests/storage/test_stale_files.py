"""What killed writers left is removed; what a living one writes never is, however old."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.stale_files import ORPHAN_AGE_S

PART = """
import sys
import pyarrow as pa
from attn.storage.location import Location
from attn.storage.parts import PartWriter
schema = pa.schema([("video_id", pa.string())])
writer = PartWriter(Location.at(sys.argv[1]), schema, part_bytes=2**30)
writer.add([pa.record_batch([["v"]], schema=schema)])
"""
UPLOAD = """
import sys
from attn.storage.location import Location
scratch = Location.at(sys.argv[1] + "/a").atomic_path()
scratch.__enter__().write_bytes(b"half")
"""
WAIT = "print(flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def writing() -> Iterator[Callable[[str, str], subprocess.Popen[bytes]]]:
    """writing(program, url): a process in the middle of writing there."""
    processes = []

    def start(program: str, url: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", program + WAIT, url]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        return process

    yield start
    for process in processes:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def make_old(*paths: Path) -> None:
    long_ago = time.time() - ORPHAN_AGE_S - 1
    for path in paths:
        os.utime(path, (long_ago, long_ago))


def test_a_run_removes_the_parts_of_killed_writers(
    tmp_path: Path, manifest: Manifest, writing: Callable[[str, str], subprocess.Popen[bytes]]
) -> None:
    kill(writing(PART, str(tmp_path)))
    (dead,) = tmp_path.iterdir()
    make_old(dead)
    kill(writing(PART, str(tmp_path)))
    (young,) = set(tmp_path.iterdir()) - {dead}
    writing(PART, str(tmp_path))
    (living,) = set(tmp_path.iterdir()) - {dead, young}
    foreign = tmp_path / ".thesis.tex.0a1b2c3d.tmp"
    foreign.write_text("years of work")
    half = tmp_path / ".manifest.json.0a1b2c3d.tmp"
    half.write_text("{")
    make_old(living, foreign, half)
    Ledger.at(str(tmp_path)).begin(manifest)
    assert set(tmp_path.iterdir()) == {young, living, foreign, tmp_path / "manifest.json"}


def test_an_upload_removes_what_killed_ones_left(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch, writing: Callable[[str, str], subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    kill(writing(UPLOAD, s3))
    (dead,) = tmp_path.iterdir()
    writing(UPLOAD, s3)
    (living,) = set(tmp_path.iterdir()) - {dead}
    make_old(dead, living)
    with Location.at(f"{s3}/b").atomic_path() as scratch:
        scratch.write_bytes(b"whole")
    assert list(tmp_path.iterdir()) == [living]
    assert (living / "a").read_bytes() == b"half"
