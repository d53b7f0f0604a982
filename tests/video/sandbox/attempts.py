"""Attempts at all that a confined process should be refused, and at some of what it needs.

    python attempts.py FOLDER OWNER VERSION WORD

OWNER is a process of the same user, VERSION the newest Landlock to be used, and WORD `threads` if they are to be left.
Prints the layers that are in effect and the names of what succeeds.
"""

# ruff: noqa: B023, SIM115, T201
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

from attn.video.sandbox import confinement

folder, owner, version, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "threads"
opened = open(folder / "opened", "wb", buffering=0)
shared = os.memfd_create("shared")
pair, _ = socket.socketpair()
version = min(version, confinement.landlock_version())
confinement.landlock_version = lambda: version
layers = confinement.confine(threads)

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
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "signal itself in other ways": lambda: all(
        called(*call) is None
        for call in (
            (200, 130, os.getpid(), 0),
            (234, 131, os.getpid(), os.getpid(), 0),
        )
    ),
    "duplicate": lambda: os.dup(there),
    "write": lambda: (folder / "there").write_bytes(b"x"),
    "append": lambda: open(folder / "there", "ab"),
    "cut": lambda: os.truncate(folder / "there", 0),
    "cut what is opened to be read": lambda: os.open(folder / "there", os.O_RDONLY | os.O_TRUNC),
    "make a file": lambda: (folder / "new").touch(),
    "make a folder": lambda: (folder / "new").mkdir(),
    "make a link": lambda: os.symlink("there", folder / "new"),
    "make a hard link": lambda: os.link(folder / "there", folder / "new"),
    "make a pipe": lambda: os.mkfifo(folder / "new"),
    "make a socket": lambda: pair.bind(str(folder / "new")),
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
    "change the owner's memory": lambda: open(f"/proc/{owner}/mem", "r+b"),
    "see the owner's memory": lambda: open(f"/proc/{owner}/mem", "rb"),
    "signal the owner": lambda: os.kill(owner, 0),
    "signal its own group": lambda: os.kill(0, 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "signal a thread of the owner": lambda: one_called((200, 130, owner, 0), (234, 131, owner, owner, 0)),
    "queue a signal": lambda: called(129, 138, owner),
    "queue a signal for a thread": lambda: called(297, 240, owner, owner),
    "signal by a descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(owner), 0),
    "have the owner signalled": lambda: fcntl.fcntl(there, fcntl.F_SETOWN, owner),
    "have the owner signalled, in the new way": lambda: fcntl.fcntl(there, 15, struct.pack("ii", 1, owner)),
    "choose a signal": lambda: fcntl.fcntl(there, fcntl.F_SETSIG, signal.SIGKILL),
    "live on without the owner": lambda: fcntl.fcntl(there, fcntl.F_SETFL, 0),
    "lock a part": lambda: fcntl.lockf(there, fcntl.LOCK_SH),
    "hold up who writes": lambda: fcntl.fcntl(there, fcntl.F_SETLEASE, fcntl.F_RDLCK),
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
    "limit the owner": lambda: resource.prlimit(owner, resource.RLIMIT_NOFILE, (9, 9)),
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
    except (OSError, MemoryError, RuntimeError, ValueError, ZeroDivisionError):
        return False
    return True


print(json.dumps([layers, [name for name, attempt in attempts.items() if succeeds(attempt)]]))
