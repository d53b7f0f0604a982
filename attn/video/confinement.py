"""What a process that decodes strangers' videos may do: read files, count, and answer. Nothing else.

FFmpeg has had, and will have, mistakes by which a crafted video takes over the process that decodes it. That process
therefore holds no secrets (`bare_environment`) and gives up for good what it does not need (`confine`): writing and
making files and changing their owners, modes, times and attributes, starting processes, the network, looking into other
processes. Memory is limited, private and shared alike, so that a decoder that leaks ends one video and not the machine.
It keeps the right to read what its user may read: a video may lie anywhere.

Limits hold everywhere. The rest are two layers of Linux's: Landlock (5.13 and later; TCP 6.7, signals 6.12) and a
filter of system calls (seccomp, `call_filter`; x86-64 and ARM64). Each is taken where the system has it, and `confine`
tells which were. Only Landlock hides the memory and the environment of the user's other processes; only the filter
refuses new processes and threads, all of the network, memory that no limit counts, and, before 6.12, signals.
"""

import contextlib
import ctypes
import os
import resource
import struct
import sys
import threading
from collections.abc import Mapping
from typing import Literal, get_args

from attn.video.call_filter import filter_calls
from attn.video.reading import MOST_PIXELS

MOST_MEMORY_BYTES = 4 << 30
"""Of its own. 8K H.264 with 16 reference frames takes 1.3 GiB."""

OUT_OF_MEMORY = 112
"""Exit code of a process that could not have more; what it still holds would fail the next video too."""

MOST_TASKS = 1 << 14
"""Threads and processes of the user's, in all, beyond which a decoder that may start threads starts none."""

Layer = Literal["landlock", "seccomp"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

OUT_OF_THREADS = 113
"""Exit code of a process that could not start one: what it had read was not the whole video."""

_NEEDED = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
_LIMITS = {
    resource.RLIMIT_DATA: MOST_MEMORY_BYTES,
    resource.RLIMIT_STACK: 8 << 20,  # the rest is not data: the main stack, and the tables of what is only reserved
    resource.RLIMIT_AS: 64 << 30,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 3 * MOST_PIXELS,  # the shared files of the frames
    resource.RLIMIT_NOFILE: 64,
}

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_VERSION = 0x20080522
_READ_ANY_FILE = 0b110  # what lets root read what the permissions of a file do not
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every machine
_LANDLOCK_VERSION = 1
# By the version of Landlock that brought them. Not among them: to read a file and to list a folder.
_FILE_RIGHTS = {
    1: 0b1_1111_1111_0011,  # execute, write, remove and make of every kind
    2: 1 << 13,  # move to another folder
    3: 1 << 14,  # cut
    5: 1 << 15,  # speak to devices
}
_NET_RIGHTS = {4: 0b11}  # bind and connect TCP
_SCOPES = {6: 0b11}  # abstract sockets and signals of others


def bare_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a Python process needs to start; none that may hold a key or a token."""
    return {name: value for name, value in environment.items() if name in _NEEDED or name.startswith("LC_")}


def confine(threads: bool = False) -> list[Layer]:
    """Confines this process, for ever; to be called while it has one thread. What is open stays open.

    Args:
        threads: may it start more of them? PyAV decodes without, whatever the codec, since it is told to use one
            (`opening`). decord reads every video in a thread of its own.

    Returns:
        The layers that are in effect; limits always are.
    """
    for kind, most in _LIMITS.items():
        _limit(kind, most)
    _limit_tasks(threads)
    if sys.platform != "linux":
        return []
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_capabilities(system)
    taken: dict[Layer, bool] = {"landlock": _landlock(system), "seccomp": filter_calls(system, threads)}
    return [layer for layer, in_effect in taken.items() if in_effect]


def pass_on_shortage(error: Exception) -> None:
    """Raises an error again that says that memory is short, where it is: a process that holds little was asked for an
    absurd amount by a damaged file, as any other damage of it."""
    if isinstance(error, MemoryError) and 2 * _data_bytes() > resource.getrlimit(resource.RLIMIT_DATA)[0] > 0:
        raise error


def _data_bytes() -> int:
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * resource.getpagesize()
    return MOST_MEMORY_BYTES  # not known: as if it were much


def landlock_version() -> int:
    """Of this kernel; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # not every system takes every limit
        resource.setrlimit(kind, (least, least))


def _limit_tasks(threads: bool) -> None:
    """Limits the user's threads and processes, as this one sees them: it matters to none but itself. Root has no limit.

    decord's threads come and go, one or two at a time, and a filter cannot count. What can be limited is the number of
    all that the user runs, here and in other containers, and that may be thousands: hence a limit far above, and only
    where some thread can still be started. A decoder that later meets it ends (`OUT_OF_THREADS`), and the one after it
    finds the limit too low and does without.
    """
    if not threads:
        _limit(resource.RLIMIT_NPROC, 0)
        return
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft > MOST_TASKS or soft == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NPROC, (MOST_TASKS, hard))
        try:
            probe = threading.Thread(target=int)
            probe.start()
            probe.join()
            _limit(resource.RLIMIT_NPROC, MOST_TASKS)
        except RuntimeError:
            resource.setrlimit(resource.RLIMIT_NPROC, before)


def _drop_capabilities(system: ctypes.CDLL) -> None:
    """Of root's process: it could look into others in spite of Landlock (CAP_PERFMON)."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    if system.capget(header, data) == 0:
        effective, permitted, *_ = struct.unpack("=6I", data.raw)
        kept = (effective & _READ_ANY_FILE, permitted & _READ_ANY_FILE, 0, 0, 0, 0)
        system.capset(header, struct.pack("=6I", *kept))


def _landlock(system: ctypes.CDLL) -> bool:
    version = landlock_version()
    rights = [_known(version, each) for each in (_FILE_RIGHTS, _NET_RIGHTS, _SCOPES)]
    size = 8 * sum(map(bool, rights))  # older kernels know fewer fields
    ruleset = system.syscall(_CREATE_RULESET, struct.pack("=3Q", *rights), size, 0) if version else -1
    if ruleset < 0:
        return False
    restricted = system.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return restricted


def _known(version: int, rights: Mapping[int, int]) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)
