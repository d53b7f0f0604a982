"""One run at a time where the storage can tell."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attn.errors import UsageError
from attn.storage.location import Location
from attn.storage.run_lock import occupied

HOLDER = """
import sys, time
from attn.storage.location import Location
from attn.storage.run_lock import occupied
with occupied(Location.at(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    where = Location.at(str(tmp_path / "new" / "store"))
    with occupied(where):
        with pytest.raises(UsageError, match=r"/new/store: another run is using this folder\. "), occupied(where):
            pass
        with pytest.raises(UsageError), occupied(where):  # the refused one has not taken the lock away
            pass
    with occupied(where):
        pass
    assert list((tmp_path / "new" / "store").iterdir()) == []


def test_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError), occupied(Location.at(str(tmp_path))):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with occupied(Location.at(str(tmp_path))):
        pass


def test_who_can_wait_has_it_after_the_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        threading.Timer(1, holder.kill).start()
        with occupied(Location.at(str(tmp_path)), wait=True):
            assert holder.wait(0.5) == -signal.SIGKILL
    assert caplog.messages == [f"{tmp_path}: another run is using this folder. Waiting for it to end."]


def test_nobody_is_kept_out_of_a_bucket(s3: str) -> None:
    with occupied(Location.at(f"{s3}/store")), occupied(Location.at(f"{s3}/store")):
        pass
