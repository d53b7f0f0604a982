"""Copies that are gone when they should be, also those of processes that were killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attn.errors import VideoError
from attn.video import spill
from attn.video.spill import spilled


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /dev/shm."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(spill, "MEMORY", folder)
    return folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_copy_lies_in_memory_and_goes(memory, disk):
    with spilled(iter([b"ab", b"", b"cd"]), 4, ".avi") as path:
        assert path.parent == memory
        assert path.suffix == ".avi"
        assert path.read_bytes() == b"abcd"
        assert path.stat().st_mode & 0o077 == 0
    assert list(memory.iterdir()) == []


def test_without_ample_room_the_copy_lies_on_disk(memory, disk):
    size = shutil.disk_usage(memory).free // 3
    with spilled(iter([b"ab"]), size, ".avi") as path:
        assert path.parent == disk
        assert path.read_bytes() == b"ab"
    assert list(disk.iterdir()) == []


def test_without_memory_the_copy_lies_on_disk(disk, monkeypatch):
    monkeypatch.setattr(spill, "MEMORY", Path("/nowhere"))
    with spilled(iter([b"ab"]), 2, "") as path:
        assert path.parent == disk


def test_an_error_leaves_no_copy(memory):
    def chunks():
        yield b"ab"
        raise VideoError("vanished")

    with pytest.raises(VideoError, match="vanished"), spilled(chunks(), 4, ".avi"):
        pytest.fail("there is no copy to work with")
    with pytest.raises(ZeroDivisionError), spilled(iter([b"ab"]), 2, ".avi"):
        _ = 1 / 0
    assert list(memory.iterdir()) == []


def test_no_room_anywhere(disk, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr(spill, "_create", lambda size, suffix: (os.open(full, os.O_WRONLY), disk / "copy"))
    with pytest.raises(VideoError, match="no room for a copy"), spilled(iter([b"ab"]), 2, ".avi"):
        pytest.fail("there is no copy to work with")


def test_the_copies_of_killed_processes_are_removed(memory):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from attn.video import spill\n"
        "spill.MEMORY = Path(sys.argv[1])\n"
        "with spill.spilled(iter([b'ab']), 2, '.avi'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(memory)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (orphan,) = memory.iterdir()
    foreign = memory / "someone-elses.avi"
    foreign.touch()
    with spilled(iter([b"cd"]), 2, ".avi") as ours:
        assert set(memory.iterdir()) == {orphan, foreign, ours}
        long_ago = time.time() - 2 * spill.ORPHAN_AGE_S
        for path in (orphan, foreign, ours):
            os.utime(path, (long_ago, long_ago))
        with spilled(iter([b"ef"]), 2, ".avi") as second:
            assert set(memory.iterdir()) == {foreign, ours, second}
