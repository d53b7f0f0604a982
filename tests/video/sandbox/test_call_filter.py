"""The filter as a program, for machines that are not at hand; on this one `test_confinement` tries it."""

import errno
import os
import signal
import struct
import subprocess
import sys

import pytest

from attn.video.sandbox.call_filter import _MACHINES, _call_filter

PID, OTHER = 4711, 4712
REFUSED, UNKNOWN, ALLOWED, KILLED = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x7FFF0000, 0x80000000


def answer(machine: str, call: int, *arguments: int, threads: bool = False, architecture: int | None = None) -> int:
    """What the kernel does about a call: its interpreter, as far as the filter makes use of it."""
    program = list(struct.iter_unpack("=HBBI", _call_filter(_MACHINES[machine], PID, threads)))
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", call, architecture or _MACHINES[machine].architecture, 0, *padded)
    loaded = place = 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            place += if_true if holds else if_false


CALLS = {
    # name: the call on x86-64 and on ARM64, arguments, what comes of it
    "read": (0, 63, (), ALLOWED),
    "kill itself": (62, 129, (PID, 6), ALLOWED),
    "kill another": (62, 129, (OTHER, 6), REFUSED),
    "kill a group": (62, 129, (2**32 - PID, 6), REFUSED),
    "tkill itself": (200, 130, (PID, 6), ALLOWED),
    "tkill another": (200, 130, (OTHER, 6), REFUSED),
    "tgkill a thread of its own": (234, 131, (PID, OTHER, 6), ALLOWED),
    "tgkill another": (234, 131, (OTHER, OTHER, 6), REFUSED),
    "rt_sigqueueinfo": (129, 138, (OTHER, 6), REFUSED),
    "rt_tgsigqueueinfo": (297, 240, (OTHER, OTHER, 6), REFUSED),
    "pidfd_send_signal": (424, 424, (3, 6), REFUSED),
    "F_GETFD": (72, 25, (3, 1), ALLOWED),
    "F_DUPFD_CLOEXEC": (72, 25, (3, 1030), ALLOWED),
    "F_SETFL": (72, 25, (3, 4), REFUSED),
    "F_SETOWN": (72, 25, (3, 8, OTHER), REFUSED),
    "F_SETSIG": (72, 25, (3, 10, 9), REFUSED),
    "F_SETOWN_EX": (72, 25, (3, 15), REFUSED),
    "a thread": (56, 220, (0x10000,), REFUSED),
    "a process": (56, 220, (17,), REFUSED),
    "clone3": (435, 435, (), UNKNOWN),
    "openat to read": (257, 56, (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOWED),
    "openat to write": (257, 56, (0, 0, os.O_WRONLY), REFUSED),
    "openat to cut": (257, 56, (0, 0, os.O_RDONLY | os.O_TRUNC), REFUSED),
    "openat2": (437, 437, (), UNKNOWN),
    "unlinkat": (263, 35, (), REFUSED),
    "the limits of itself": (302, 261, (0,), ALLOWED),
    "the limits of another": (302, 261, (OTHER,), REFUSED),
}


@pytest.mark.parametrize(("x86_64", "aarch64", "arguments", "expected"), CALLS.values(), ids=CALLS.keys())
def test_it_knows_both_machines(x86_64, aarch64, arguments, expected):
    assert answer("x86_64", x86_64, *arguments) == answer("aarch64", aarch64, *arguments) == expected


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_where_threads_are_needed_only_threads_are_made(machine, clone):
    assert answer(machine, clone, 0x10000, threads=True) == ALLOWED
    assert answer(machine, clone, 17, threads=True) == REFUSED


def test_calls_of_other_kinds_of_machines_are_none_of_these():
    assert answer("x86_64", 0, architecture=0x40000003) == KILLED  # of 32 bits
    assert answer("x86_64", 0x40000000) == REFUSED  # of x32


ABORT = """
import ctypes, faulthandler, os, signal, sys, threading
from attn.video.sandbox import confinement
confinement.landlock_version = lambda: 0
confinement.confine(threads=True)
{way}
"""


@pytest.mark.parametrize(
    ("way", "by"),
    [
        ("os.abort()", signal.SIGABRT),
        ("signal.raise_signal(signal.SIGABRT)", signal.SIGABRT),
        ("threading.Thread(target=os.abort).start()", signal.SIGABRT),
        ("faulthandler.enable(); ctypes.string_at(0)", signal.SIGSEGV),
        ("faulthandler.enable(); os.abort()", signal.SIGABRT),
    ],
)
def test_who_gives_up_ends_by_the_signal_that_says_so(way, by):
    code = ABORT.replace("{way}", way)
    assert subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode == -by
