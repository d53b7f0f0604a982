"""What a process can still do once it is confined: tried, not believed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from attn.video.confinement import bare_environment, landlock_version
from attn.video.decoder_child import DecoderChild

CODE = """
import ctypes, errno, fcntl, json, mmap, os, platform, resource, socket, subprocess, sys, threading
from pathlib import Path
from attn.video.confinement import confine

folder, owner = Path(sys.argv[1]), sys.argv[2]
opened = open(folder / "opened", "wb", buffering=0)
shared = os.memfd_create("shared")
confine()

system = ctypes.CDLL(None, use_errno=True)

def called(x86_64, aarch64, *arguments):
    # the errno tells: what is let through complains of its arguments, or does nothing
    number = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
    if system.syscall(number, *(arguments or (0, 0, 0, 0, 0))) == -1 and ctypes.get_errno() == errno.EPERM:
        raise OSError(errno.EPERM, "refused")

def one_called(*calls):
    if not any(succeeds(lambda: called(*call)) for call in calls):
        raise OSError(errno.EPERM, "refused")

there = os.open(folder / "there", os.O_RDONLY)
me, group = os.getuid(), os.getgid()
SHARED, PRIVATE, ANONYMOUS, GROWS_DOWN = mmap.MAP_SHARED, mmap.MAP_PRIVATE, mmap.MAP_ANONYMOUS, 0x100
READ, WRITE = mmap.PROT_READ, mmap.PROT_WRITE

def same_flags():
    flags = fcntl.ioctl(there, 0x80086601, bytes(8))
    fcntl.ioctl(there, 0x40086602, flags)

attempts = {
    "read": lambda: (folder / "there").read_bytes(),
    "list": lambda: os.listdir(folder),
    "write to what is open": lambda: opened.write(b"x"),
    "grow what is shared": lambda: os.ftruncate(shared, 3 << 26),
    "start a thread": lambda: threading.Thread(target=int).start(),
    "take a little memory": lambda: bytearray(1 << 30),
    "map what is shared": lambda: mmap.mmap(shared, 1 << 20),
    "map a file": lambda: mmap.mmap(there, 0, flags=PRIVATE, prot=READ),
    "see whether a descriptor is a terminal": lambda: os.isatty(shared),
    "see its own limits": lambda: resource.getrlimit(resource.RLIMIT_DATA),
    "write": lambda: (folder / "there").write_bytes(b"x"),
    "append": lambda: open(folder / "there", "ab"),
    "cut": lambda: os.truncate(folder / "there", 0),
    "make a file": lambda: (folder / "new").touch(),
    "make a folder": lambda: (folder / "new").mkdir(),
    "make a link": lambda: os.symlink("there", folder / "new"),
    "make a hard link": lambda: os.link(folder / "there", folder / "new"),
    "make a pipe": lambda: os.mkfifo(folder / "new"),
    "remove": lambda: os.remove(folder / "there"),
    "rename": lambda: os.rename(folder / "there", folder / "new"),
    "cut, by the filter": lambda: called(76, 45),
    "change a mode": lambda: os.chmod(folder / "there", 0o600),
    "change the mode of what is open": lambda: os.fchmod(there, 0o600),
    "change a mode, in the old way": lambda: called(90, 53),
    "change a mode, in the new way": lambda: called(452, 452),
    "give away": lambda: os.chown(folder / "there", me, group),
    "give away what is open": lambda: os.fchown(there, me, group),
    "give away a link": lambda: os.lchown(folder / "there", me, group),
    "give away what lies in a folder": lambda: called(260, 54),
    "change times": lambda: os.utime(folder / "there", (1, 1)),
    "change the times of what is open": lambda: os.utime(there, (1, 1)),
    "change times, in old ways": lambda: one_called((132, 88), (235, 88), (261, 88)),
    "add an attribute": lambda: called(188, 5),
    "add an attribute to a link": lambda: called(189, 6),
    "add an attribute to what is open": lambda: called(190, 7),
    "add an attribute, in the new way": lambda: called(463, 463),
    "remove an attribute": lambda: called(197, 14),
    "remove an attribute of a link": lambda: called(198, 15),
    "remove an attribute of what is open": lambda: called(199, 16),
    "remove an attribute, in the new way": lambda: called(466, 466),
    "change flags": same_flags,
    "change flags, in the new way": lambda: called(469, 469),
    "lock": lambda: fcntl.flock(there, fcntl.LOCK_SH),
    "start a program": lambda: subprocess.run(["/bin/true"], check=True),
    "start a process": lambda: os.fork() or os._exit(0),
    "use TCP": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "use UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "send to a socket of others": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(
        b"x", str(folder / "outside")
    ),
    "make a pair of sockets": lambda: socket.socketpair(),
    "add a key": lambda: called(248, 217),
    "ask for a key": lambda: called(249, 218),
    "use keys": lambda: called(250, 219),
    "leave a namespace": lambda: called(272, 97),
    "watch the processor": lambda: called(298, 241),
    "enter a namespace": lambda: called(308, 268),
    "see the owner's secrets": lambda: Path(f"/proc/{owner}/environ").read_bytes(),
    "see the owner's memory": lambda: open(f"/proc/{owner}/mem", "rb"),
    "signal the owner": lambda: os.kill(int(owner), 0),
    "grow what is shared beyond all frames": lambda: os.ftruncate(shared, (3 << 26) + 1),
    "share more": lambda: os.memfd_create("more"),
    "share memory": lambda: mmap.mmap(-1, 5 << 30),
    "share memory that is only read": lambda: mmap.mmap(-1, 5 << 30, flags=SHARED | ANONYMOUS, prot=READ),
    "share zeros": lambda: mmap.mmap(os.open("/dev/zero", os.O_RDONLY), 5 << 30, prot=READ),
    "have memory that grows downwards": lambda: mmap.mmap(-1, 5 << 30, flags=PRIVATE | ANONYMOUS | GROWS_DOWN),
    "have secret memory": lambda: called(447, 447, 1 << 20),
    "make System V's memory": lambda: called(29, 194),
    "use System V's memory": lambda: called(30, 196),
    "remove System V's memory": lambda: called(31, 195),
    "make System V's semaphores": lambda: called(64, 190),
    "use System V's semaphores": lambda: one_called((65, 193), (66, 191), (220, 192)),
    "make System V's queues": lambda: called(68, 186, 0, 0),
    "use System V's queues": lambda: one_called((69, 189, -1), (70, 188, -1), (71, 187, -1)),
    "make and remove queues": lambda: one_called((240, 180), (241, 181)),
    "reserve without end": lambda: mmap.mmap(-1, 1 << 37, flags=PRIVATE | ANONYMOUS | 0x4000, prot=0),
    "let the stack grow": lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 33, 1 << 33)),
    "limit the owner": lambda: resource.prlimit(int(owner), resource.RLIMIT_NOFILE, (9, 9)),
    "change a priority": lambda: called(141, 140),
    "move to another processor": lambda: called(203, 122),
    "be scheduled otherwise": lambda: one_called((142, 118), (144, 119), (314, 274), (251, 30)),
    "open many files": lambda: [open(folder / "there") for _ in range(100)],
    "take much memory": lambda: bytearray(5 << 30),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40)),
    "leave a core": lambda: 1 / resource.getrlimit(resource.RLIMIT_CORE)[0],
}

def succeeds(attempt):
    try:
        attempt()
    except (OSError, MemoryError, ValueError, ZeroDivisionError):
        return False
    return True

print(json.dumps({name: succeeds(attempt) for name, attempt in attempts.items()}))
"""
ALLOWED = {
    *("read", "list", "write to what is open", "grow what is shared", "map what is shared", "map a file"),
    *("start a thread", "take a little memory", "see whether a descriptor is a terminal", "see its own limits"),
}


@pytest.mark.skipif(landlock_version() < 6, reason="this kernel has no or an old Landlock")
def test_it_can_read_and_count_and_nothing_else(tmp_path):
    for name in ("there", "opened"):
        (tmp_path / name).write_bytes(b"video")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outside,
        subprocess.Popen(["/bin/sleep", "60"], env={"SECRET": "key"}) as owner,
    ):
        outside.bind(str(tmp_path / "outside"))
        ran = subprocess.run(
            [sys.executable, "-c", CODE, str(tmp_path), str(owner.pid)], capture_output=True, text=True, check=True
        )
        owner.kill()
    succeeded = {name for name, success in json.loads(ran.stdout).items() if success}
    assert succeeded == ALLOWED
    assert (tmp_path / "there").read_bytes() == b"video"
    assert sorted(os.listdir(tmp_path)) == ["opened", "outside", "there"]


def test_what_the_kernel_lacks_is_done_without(tmp_path):
    """An old kernel refuses; so does one that was built without."""
    code = (
        "import sys, attn.video.confinement as c\n"
        "c.landlock_version = lambda: 0\n"
        "c._call_filter = lambda *told: bytes(8)\n"  # no filter that a kernel takes
        "c.confine()\n"
        "open(sys.argv[1], 'w').close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "new")], check=True)
    assert (tmp_path / "new").exists()


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
from attn.video.confinement import pass_on_shortage
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
