"""One run at a time where the storage can tell."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem
from attn.storage.run_lock import occupied

HOLDER = """
import sys, time
from attn.storage.filesystem import open_filesystem
from attn.storage.run_lock import occupied
with occupied(*open_filesystem(sys.argv[1]), "s"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    where = (*open_filesystem(str(tmp_path / "new" / "store")), "the store")
    with occupied(*where):
        with pytest.raises(UsageError, match=r"^the store: another run is using this folder\. "), occupied(*where):
            pass
        with pytest.raises(UsageError), occupied(*where):  # the refused one has not taken the lock away
            pass
    with occupied(*where):
        pass
    assert list((tmp_path / "new" / "store").iterdir()) == []


def test_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError), occupied(*open_filesystem(str(tmp_path)), "s"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with occupied(*open_filesystem(str(tmp_path)), "s"):
        pass


def test_who_can_wait_has_it_after_the_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        threading.Timer(1, holder.kill).start()
        with occupied(*open_filesystem(str(tmp_path)), "s", wait=True):
            assert holder.wait(0.5) == -signal.SIGKILL
    assert caplog.messages == ["s: another run is using this folder. Waiting for it to end."]


def test_nobody_is_kept_out_of_a_bucket(s3: str) -> None:
    with occupied(*open_filesystem(f"{s3}/store"), "s"), occupied(*open_filesystem(f"{s3}/store"), "s"):
        pass
