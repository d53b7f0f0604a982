"""What a process can still do once it is confined: tried, not believed (`attempts.py`)."""

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from attn.video.sandbox.confinement import bare_environment, landlock_version
from attn.video.sandbox.decoder_child import DecoderChild

ALLOWED = {
    *("read", "list", "write to what is open", "grow what is shared", "map what is shared", "map a file"),
    *("take a little memory", "see whether a descriptor is a terminal", "see its own limits", "duplicate"),
    *("signal itself", "signal itself in other ways"),
}
ATTEMPTS = Path(__file__).with_name("attempts.py")
OTHERS_MEMORY = {"see the owner's secrets", "see the owner's memory"}
WHOLE = 1000  # any version that the kernel has


@pytest.fixture
def attempt(tmp_path):
    """attempt(version of Landlock, "threads" or ""): layers in effect, and what can be done all the same."""

    def run(version, threads=""):
        for name in ("there", "opened"):
            (tmp_path / name).write_bytes(b"video")
        with subprocess.Popen(["/bin/sleep", "60"], env={"SECRET": "key"}) as owner:
            told = [str(tmp_path), str(owner.pid), str(version), threads]
            ran = subprocess.run(
                [sys.executable, "-P", str(ATTEMPTS), *told], capture_output=True, text=True, check=True
            )
            owner.kill()
        assert (tmp_path / "there").read_bytes() == b"video"
        assert sorted(path.name for path in tmp_path.iterdir() if not path.is_socket()) == ["opened", "there"]
        layers, successes = json.loads(ran.stdout)
        return layers, set(successes)

    return run


@pytest.fixture
def outside(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "outside"))
        yield


FILTERED = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no filter for this machine")


@FILTERED
@pytest.mark.usefixtures("outside")
@pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
@pytest.mark.parametrize("version", [1, 2, 5, WHOLE])
def test_it_can_read_and_count_and_nothing_else(version, attempt):
    """Whatever an old Landlock does not know."""
    assert attempt(version) == (["landlock", "seccomp"], ALLOWED)


@FILTERED
@pytest.mark.usefixtures("outside")
def test_without_landlock_it_may_see_what_others_of_its_user_hold_and_no_more(attempt):
    """And not even that where their capabilities are more than its own, as root's are."""
    layers, could = attempt(0)
    assert layers == ["seccomp"]
    assert ALLOWED <= could <= ALLOWED | OTHERS_MEMORY


@FILTERED
@pytest.mark.usefixtures("outside")
@pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
def test_threads_are_started_where_they_are_needed_and_only_there(attempt):
    assert attempt(WHOLE, "threads") == (["landlock", "seccomp"], ALLOWED | {"start a thread"})


def test_what_the_kernel_lacks_is_done_without_and_told(tmp_path):
    """An old kernel refuses; so does one that was built without."""
    code = (
        "import sys, attn.video.sandbox.confinement as c, attn.video.sandbox.call_filter as f\n"
        "c.landlock_version = lambda: 0\n"
        "f._call_filter = lambda *told: bytes(8)\n"  # no filter that a kernel takes
        "assert c.confine() == []\n"
        "open(sys.argv[1], 'w').close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "new")], check=True)
    assert (tmp_path / "new").exists()


NPROC = """
import resource, sys, threading
from attn.video.sandbox import confinement
confinement.MOST_TASKS = int(sys.argv[1])
before = resource.getrlimit(resource.RLIMIT_NPROC)
confinement._limit_tasks(True)
threading.Thread(target=int).start()
after = resource.getrlimit(resource.RLIMIT_NPROC)
print(after == (int(sys.argv[1]),) * 2, after == before)
"""


@pytest.mark.skipif(os.getuid() == 0, reason="root has no limit")
@pytest.mark.parametrize(("most", "taken"), [(1, False), (1 << 14, True)])
def test_no_limit_of_tasks_is_below_what_the_user_runs(most, taken):
    ran = subprocess.run([sys.executable, "-c", NPROC, str(most)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(taken), str(not taken)]


def test_no_secret_is_inherited():
    owners = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "TMPDIR": "/t",
        "PYTHONPATH": "/p",
        "HOME": "/h",
        "AWS_SECRET_ACCESS_KEY": "k",
        "AWS_SESSION_TOKEN": "k",
        "RAY_ADDRESS": "a",
        "HF_TOKEN": "t",
        "X": "y",
    }
    assert set(bare_environment(owners)) == {"PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "HOME"}
    assert bare_environment(owners)["PATH"] == "/bin"


def test_the_decoder_is_confined_and_inherits_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    child = DecoderChild()
    proc = Path(f"/proc/{child.pid}")
    environment, status = proc.joinpath("environ").read_bytes(), proc.joinpath("status").read_text()
    limits = proc.joinpath("limits").read_text()
    child.kill()
    assert b"hush" not in environment
    assert b"PATH=" in environment
    assert "NoNewPrivs:\t1" in status
    assert "Threads:\t1" in status  # Landlock confines threads, not processes
    assert f"Max data size             {4 << 30} " in limits


SHORTAGE = """
import resource
from attn.video.sandbox.confinement import pass_on_shortage
pass_on_shortage(MemoryError("without a limit"))
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
pass_on_shortage(ValueError("something else"))
pass_on_shortage(MemoryError("asked for an absurd amount"))
held = bytes(600 << 20)
try:
    pass_on_shortage(MemoryError("short"))
except MemoryError as error:
    print(error)
"""


def test_memory_is_short_where_much_is_held_and_not_where_much_was_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SHORTAGE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("short\n", "")
