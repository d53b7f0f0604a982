"""Sandbox of a process that decodes untrusted videos: it may read files, compute and answer, nothing else.

FFmpeg has had, and will have, bugs by which a crafted video takes over the process that decodes it. That process
therefore holds no secrets (`bare_environment`) and permanently gives up the rights that it does not need (`confine`):
to write and create files and change their owners, modes, times and attributes, to start processes, to use the network,
and to inspect other processes. Private and shared memory are limited, so that a decoder that leaks memory fails on one
video and does not exhaust the machine. It may still read every file that its user may read, because videos may be
stored anywhere.

Resource limits work on every system. The other two layers need Linux: Landlock (5.13 and later; TCP 6.7, signals 6.12)
and a system call filter (seccomp, `call_filter`; x86-64 and ARM64). Each is used if the system supports it, and
`confine` returns the layers in effect. Only Landlock hides the memory and the environment of the user's other
processes; only the filter refuses new processes and threads, the whole network, memory that no limit counts, and,
before 6.12, signals.
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

from attn.video.reading import MOST_PIXELS
from attn.video.sandbox.call_filter import filter_calls

MOST_MEMORY_BYTES = 4 << 30
"""Limit of a decoder's private memory. 8K H.264 with 16 reference frames takes 1.3 GiB."""

OUT_OF_MEMORY = 112
"""Exit code of a process that reached its memory limit. The memory it still holds could make the next video fail."""

MOST_TASKS = 1 << 14
"""Total number of the user's threads and processes above which a decoder cannot start a thread."""

Layer = Literal["landlock", "seccomp"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

OUT_OF_THREADS = 113
"""Exit code of a process that could not start a thread and had not read the whole video."""

_NEEDED = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
_LIMITS = {
    resource.RLIMIT_DATA: MOST_MEMORY_BYTES,
    resource.RLIMIT_STACK: 8 << 20,  # RLIMIT_DATA counts neither the main stack nor page tables of reserved memory
    resource.RLIMIT_AS: 64 << 30,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 3 * MOST_PIXELS,  # size of a shared file of frames
    resource.RLIMIT_NOFILE: 64,
}

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_VERSION = 0x20080522
_READ_ANY_FILE = 0b110  # capabilities by which root reads files regardless of their permissions
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # equal on every machine
_LANDLOCK_VERSION = 1
# Rights given up, by the Landlock version that introduced them. Reading files and listing folders stay allowed.
_FILE_RIGHTS = {
    1: 0b1_1111_1111_0011,  # execute, write, remove, and create files of every kind
    2: 1 << 13,  # move to another folder
    3: 1 << 14,  # truncate
    5: 1 << 15,  # ioctl on devices
}
_NET_RIGHTS = {4: 0b11}  # bind and connect TCP
_SCOPES = {6: 0b11}  # abstract sockets of other processes, and signals to them


def bare_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a Python process needs to start, without any that may hold a key or a token."""
    return {name: value for name, value in environment.items() if name in _NEEDED or name.startswith("LC_")}


def confine(threads: bool = False) -> list[Layer]:
    """Confine this process permanently. Call it while the process has a single thread. Open files stay open.

    Args:
        threads: whether the process may start threads. PyAV needs none for any codec, because `opening` sets its thread
            count to one. decord reads every video in a thread of its own.

    Returns:
        Layers in effect; resource limits always are.
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
    """Raise a `MemoryError` again if this process holds more than half of its memory limit.

    If it holds less, a damaged file asked for an absurd amount, and the error counts as any other damage of the file.
    """
    if isinstance(error, MemoryError) and 2 * _data_bytes() > resource.getrlimit(resource.RLIMIT_DATA)[0] > 0:
        raise error


def _data_bytes() -> int:
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * resource.getpagesize()
    return MOST_MEMORY_BYTES  # unknown, so assume much


def landlock_version() -> int:
    """Return the version of Landlock in this kernel, 0 if it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # not every system accepts every limit
        resource.setrlimit(kind, (least, least))


def _limit_tasks(threads: bool) -> None:
    """Set the number of the user's threads and processes above which this process cannot start another.

    The limit does not affect other processes, and root is exempt from it.

    decord's threads come and go, one or two at a time, and the system call filter cannot count them. The limit can only
    count everything that the user runs, here and in other containers, which may be thousands of threads. It is
    therefore set far higher, and only if a thread can still be started under it. A decoder that reaches the limit later
    exits (`OUT_OF_THREADS`), and its successor finds the limit too low and runs without it.
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
    """Drop all capabilities of a root process but reading files: CAP_PERFMON can bypass Landlock."""
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
