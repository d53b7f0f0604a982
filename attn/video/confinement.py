"""What a process that decodes strangers' videos may do: read files, count, and answer. Nothing else.

FFmpeg has had, and will have, mistakes by which a crafted video takes over the process that decodes it. That process
therefore holds no secrets (`bare_environment`) and gives up for good what it does not need (`confine`): writing and
making files and changing their owners, modes, times and attributes, starting processes, the network, looking into other
processes. Memory is limited, private and shared alike, so that a decoder that leaks ends one video and not the machine.
It keeps the right to read what its user may read: a video may lie anywhere.

Limits hold everywhere. The rest is Linux's, taken where the kernel has it and left out silently where not: Landlock
(5.13 and later; TCP 6.7, signals 6.12) and seccomp (x86-64 and ARM64).
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Mapping
from typing import NamedTuple

from attn.video.reading import MOST_PIXELS

MOST_MEMORY_BYTES = 4 << 30
"""Of its own. 8K H.264 with 16 reference frames takes 1.3 GiB."""

OUT_OF_MEMORY = 112
"""Exit code of a process that could not have more; what it still holds would fail the next video too."""

_NEEDED = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
_LIMITS = {
    resource.RLIMIT_DATA: MOST_MEMORY_BYTES,
    resource.RLIMIT_STACK: 8 << 20,  # the rest is not data: the main stack, and the tables of what is only reserved
    resource.RLIMIT_AS: 64 << 30,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 3 * MOST_PIXELS,  # the shared files of the frames
    resource.RLIMIT_NOFILE: 64,
}

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
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


class _Machine(NamedTuple):
    """Its number as an architecture, and numbers of its system calls."""

    architecture: int
    clone: int
    mmap: int
    ioctl: int
    prlimit: int
    refused: tuple[int, ...]


# Refused, a line each:
# - socket, socketpair (datagrams of such a socket go to any path), ptrace, process_vm_readv and _writev, execve,
#   execveat, bpf, memfd_create, add_key, request_key, keyctl, unshare, setns, perf_event_open; fork and vfork where
#   they are calls of their own;
# - what Landlock lets pass on any file of the user's: chmod, fchmod, fchmodat, chown, fchown, lchown, fchownat, utime,
#   utimes, futimesat, utimensat, flock, and truncate, of which old ones know nothing;
# - setxattr, removexattr and their kin;
# - shared memory, semaphores and queues of System V and POSIX: memory that no limit counts, or that of others;
# - what may slow others: setpriority, ioprio_set, sched_setparam, _setscheduler, _setaffinity, _setattr.
_MACHINES = {
    "x86_64": _Machine(
        *(0xC000003E, 56, 9, 16, 302),
        refused=(
            *(41, 53, 101, 310, 311, 59, 322, 321, 319, 248, 249, 250, 272, 308, 298, 57, 58),
            *(90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280, 73, 76),
            *(188, 189, 190, 197, 198, 199),
            *(29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241),
            *(141, 251, 142, 144, 203, 314),
        ),
    ),
    "aarch64": _Machine(
        *(0xC00000B7, 220, 222, 29, 261),
        refused=(
            *(198, 199, 117, 270, 271, 221, 281, 280, 279, 217, 218, 219, 97, 268, 241),
            *(52, 53, 55, 54, 88, 32, 45),
            *(5, 6, 7, 14, 15, 16),
            *(194, 195, 196, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181),
            *(140, 30, 118, 119, 122, 274),
        ),
    ),
}
# The same on every machine: io_uring_setup, which would get round the filter, pidfd_getfd, memfd_secret, fchmodat2,
# setxattrat, removexattrat, file_setattr.
_REFUSED_ANYWHERE = (425, 438, 447, 452, 463, 466, 469)
_CLONE3, _CLONE_THREAD = 435, 0x10000
_PROT_WRITE, _MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x2, 0x1, 0x20, 0x100
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what Python asks of descriptors. Others change the flags of
# files that are open for reading, or make and remove whole trees of some file systems.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_X32_CALLS = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = (_RETURN, 0, 0, 0x7FFF0000), (_RETURN, 0, 0, 0x80000000)
_REFUSE, _UNKNOWN = (_RETURN, 0, 0, 0x50000 | errno.EPERM), (_RETURN, 0, 0, 0x50000 | errno.ENOSYS)

_Step = tuple[int, int, int, int]
# New processes would outlive the kill of this one. `clone3` hides whether it makes one; a system that seems to lack it
# is asked with `clone`.
_NEW_THREADS_ONLY: list[_Step] = [(_LOAD, 0, 0, 16), (_IF_BITS, 1, 0, _CLONE_THREAD), _REFUSE, _ALLOW]
# What is shared is not counted as data, nor is what grows downwards. The frames' files are shared to be written, which
# nothing else is that can still be opened: /dev/zero, say, is memory even where it is only read.
_COUNTED_MEMORY_ONLY: list[_Step] = [
    (_LOAD, 0, 0, 40),  # its flags
    (_IF_BITS, 5, 0, _MAP_GROWSDOWN),
    (_IF_BITS, 0, 3, _MAP_SHARED),
    (_IF_BITS, 3, 0, _MAP_ANONYMOUS),
    (_LOAD, 0, 0, 32),  # what the memory is for
    (_IF_BITS, 0, 1, _PROT_WRITE),
    _ALLOW,
    _REFUSE,
]
_HARMLESS_IOCTLS_ONLY: list[_Step] = [
    (_LOAD, 0, 0, 24),  # which one
    *((_IF_EQUAL, len(_IOCTLS) - n, 0, ioctl) for n, ioctl in enumerate(_IOCTLS)),
    _REFUSE,
    _ALLOW,
]
_OWN_LIMITS_ONLY: list[_Step] = [(_LOAD, 0, 0, 16), (_IF_EQUAL, 1, 0, 0), _REFUSE, _ALLOW]


def bare_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a Python process needs to start; none that may hold a key or a token."""
    return {name: value for name, value in environment.items() if name in _NEEDED or name.startswith("LC_")}


def confine() -> None:
    """Confines this process, for ever; to be called while it has one thread. What is open stays open."""
    for kind, most in _LIMITS.items():
        _limit(kind, most)
    if sys.platform == "linux":
        system = ctypes.CDLL(None, use_errno=True)
        system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _drop_capabilities(system)
        _landlock(system)
        _filter_calls(system)


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


def _drop_capabilities(system: ctypes.CDLL) -> None:
    """Of root's process: it could look into others in spite of Landlock (CAP_PERFMON)."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    if system.capget(header, data) == 0:
        effective, permitted, *_ = struct.unpack("=6I", data.raw)
        kept = (effective & _READ_ANY_FILE, permitted & _READ_ANY_FILE, 0, 0, 0, 0)
        system.capset(header, struct.pack("=6I", *kept))


def _landlock(system: ctypes.CDLL) -> None:
    version = landlock_version()
    rights = [_known(version, each) for each in (_FILE_RIGHTS, _NET_RIGHTS, _SCOPES)]
    size = 8 * sum(map(bool, rights))  # older kernels know fewer fields
    ruleset = system.syscall(_CREATE_RULESET, struct.pack("=3Q", *rights), size, 0) if version else -1
    if ruleset >= 0:
        system.syscall(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def _known(version: int, rights: Mapping[int, int]) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)


def _filter_calls(system: ctypes.CDLL) -> None:
    if platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return
    filter_ = _call_filter(_MACHINES[platform.machine()])
    steps = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("@HP", len(filter_) // 8, ctypes.addressof(steps))
    system.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0)


def _call_filter(machine: _Machine) -> bytes:
    """Steps of 8 bytes: what to do, how many steps to skip if true and if not, and a value."""
    steps = [
        (_LOAD, 0, 0, 4),  # the machine for which the call is meant
        (_IF_EQUAL, 1, 0, machine.architecture),
        _KILL,
        (_LOAD, 0, 0, 0),  # the number of the call
        (_IF_AT_LEAST, 0, 1, _X32_CALLS),
        _REFUSE,
        *(step for call in (*machine.refused, *_REFUSED_ANYWHERE) for step in ((_IF_EQUAL, 0, 1, call), _REFUSE)),
        *_of_call(_CLONE3, [_UNKNOWN]),
        *_of_call(machine.clone, _NEW_THREADS_ONLY),
        *_of_call(machine.mmap, _COUNTED_MEMORY_ONLY),
        *_of_call(machine.ioctl, _HARMLESS_IOCTLS_ONLY),
        *_of_call(machine.prlimit, _OWN_LIMITS_ONLY),
        _ALLOW,
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _of_call(call: int, steps: list[_Step]) -> list[_Step]:
    """Steps for one call; the last of them ends the filter."""
    return [(_IF_EQUAL, 0, len(steps), call), *steps]
