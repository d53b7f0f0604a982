"""System call filter (seccomp) of the decoder process, permanent once installed.

The filter refuses calls by their number and their plain arguments; it cannot see file names. Access to files and to the
memory of other processes is therefore left to Landlock (`confinement`); everything else is refused here as well.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Machine(NamedTuple):
    """Architecture number and system call numbers of a type of machine.

    Attributes:
        opens: calls that open a file by name, with the position of the flags among their arguments.
        signals: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, whose first argument is the receiver.
        refused: calls that are refused with any arguments.
    """

    architecture: int
    clone: int
    mmap: int
    ioctl: int
    fcntl: int
    prlimit: int
    opens: dict[int, int]
    signals: tuple[int, ...]
    refused: tuple[int, ...]


# Refused calls, one line of numbers per group:
# - socket, socketpair (datagrams of such a socket can be sent to any path), bind, ptrace, process_vm_readv and _writev,
#   execve, execveat, bpf, memfd_create, add_key, request_key, keyctl, unshare, setns, perf_event_open; fork and vfork
#   on machines that have them;
# - calls that Landlock allows on any file of the user: chmod, fchmod, fchmodat, chown, fchown, lchown, fchownat, utime,
#   utimes, futimesat, utimensat, flock, and truncate, which old versions of Landlock do not cover;
# - calls that Landlock, if available, refuses too: mkdir, rmdir, creat, unlink, rename, link, symlink, mknod, their
#   variants, and open_by_handle_at;
# - setxattr, removexattr and their variants;
# - System V and POSIX shared memory, semaphores and message queues: their memory is not limited, or is another
#   process's;
# - calls that may slow down other processes: setpriority, ioprio_set, sched_setparam, _setscheduler, _setaffinity,
#   _setattr.
_MACHINES = {
    "x86_64": _Machine(
        *(0xC000003E, 56, 9, 16, 72, 302),
        opens={2: 1, 257: 2},
        signals=(62, 200, 234, 129, 297),
        refused=(
            *(41, 53, 49, 101, 310, 311, 59, 322, 321, 319, 248, 249, 250, 272, 308, 298, 57, 58),
            *(90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280, 73, 76),
            *(83, 258, 84, 85, 87, 263, 82, 264, 316, 86, 265, 88, 266, 133, 259, 304),
            *(188, 189, 190, 197, 198, 199),
            *(29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241),
            *(141, 251, 142, 144, 203, 314),
        ),
    ),
    "aarch64": _Machine(
        *(0xC00000B7, 220, 222, 29, 25, 261),
        opens={56: 2},
        signals=(129, 130, 131, 138, 240),
        refused=(
            *(198, 199, 200, 117, 270, 271, 221, 281, 280, 279, 217, 218, 219, 97, 268, 241),
            *(52, 53, 55, 54, 88, 32, 45),
            *(34, 35, 38, 276, 37, 36, 33, 265),
            *(5, 6, 7, 14, 15, 16),
            *(194, 195, 196, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181),
            *(140, 30, 118, 119, 122, 274),
        ),
    ),
}
# Numbers that are equal on every machine: pidfd_send_signal, io_uring_setup (which would bypass the filter),
# pidfd_getfd, memfd_secret, fchmodat2, setxattrat, removexattrat, file_setattr.
_REFUSED_ANYWHERE = (424, 425, 438, 447, 452, 463, 466, 469)
# clone3 and openat2 hide their arguments behind a pointer. They fail as if the kernel lacked them, so that callers fall
# back to clone and openat.
_UNKNOWN_ANYWHERE = (435, 437)
_CLONE_THREAD = 0x10000
_PROT_WRITE, _MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x2, 0x1, 0x20, 0x100
_NOT_ONLY_READING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC  # O_TRUNC works on files opened for reading, too
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: the requests that Python makes. Other requests change the
# flags of files that are open for reading, or create and remove whole trees on some file systems.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. Other commands make the system signal any process (F_SETOWN,
# F_SETOWN_EX, F_SETSIG) or block processes that write to a file (F_SETLK, F_SETLEASE); F_SETFL could disable the signal
# by which this process ends with its owner.
_FCNTLS = (0, 1, 2, 3, 1030)
_X32_CALLS = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = (_RETURN, 0, 0, 0x7FFF0000), (_RETURN, 0, 0, 0x80000000)
_REFUSE, _UNKNOWN = (_RETURN, 0, 0, 0x50000 | errno.EPERM), (_RETURN, 0, 0, 0x50000 | errno.ENOSYS)

_Step = tuple[int, int, int, int]


def filter_calls(system: ctypes.CDLL, threads: bool) -> bool:
    """Refuse all system calls that decoding does not need, permanently; return whether the system supports this.

    Args:
        system: C library.
        threads: whether new threads may be started.
    """
    if platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    filter_ = _call_filter(_MACHINES[platform.machine()], os.getpid(), threads)
    steps = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("@HP", len(filter_) // 8, ctypes.addressof(steps))
    return system.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0) == 0


def _call_filter(machine: _Machine, pid: int, threads: bool) -> bytes:
    """Return the filter program in steps of 8 bytes: operation, steps to skip if true and if false, value."""
    steps = [
        (_LOAD, 0, 0, 4),  # architecture for which the call is meant
        (_IF_EQUAL, 1, 0, machine.architecture),
        _KILL,
        (_LOAD, 0, 0, 0),  # number of the call
        (_IF_AT_LEAST, 0, 1, _X32_CALLS),
        _REFUSE,
        *(step for call in (*machine.refused, *_REFUSED_ANYWHERE) for step in _of_call(call, [_REFUSE])),
        *(step for call in _UNKNOWN_ANYWHERE for step in _of_call(call, [_UNKNOWN])),
        # New processes would survive when this one is killed; the number of new threads would be unlimited.
        *_of_call(
            machine.clone, [_load(0), (_IF_BITS, 1, 0, _CLONE_THREAD), _REFUSE, _ALLOW] if threads else [_REFUSE]
        ),
        *_of_call(machine.mmap, _COUNTED_MEMORY_ONLY),
        *_of_call(machine.ioctl, _one_of(1, _IOCTLS)),
        *_of_call(machine.fcntl, _one_of(1, _FCNTLS)),
        *_of_call(machine.prlimit, _one_of(0, (0,))),  # only on this process's own limits
        # Signals to this process itself, so that abort() works. With tkill, only its first thread can be the receiver.
        *(step for call in machine.signals for step in _of_call(call, _one_of(0, (pid,)))),
        *(step for call, flags in machine.opens.items() for step in _of_call(call, _reading_only(flags))),
        _ALLOW,
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _of_call(call: int, steps: list[_Step]) -> list[_Step]:
    """Return the steps for one call; the last of them ends the filter."""
    return [(_IF_EQUAL, 0, len(steps), call), *steps]


def _load(argument: int) -> _Step:
    """Load the lower half of an argument, counted from 0; both machines are little-endian."""
    return (_LOAD, 0, 0, 16 + 8 * argument)


def _one_of(argument: int, values: tuple[int, ...]) -> list[_Step]:
    return [
        _load(argument),
        *((_IF_EQUAL, len(values) - n, 0, value) for n, value in enumerate(values)),
        _REFUSE,
        _ALLOW,
    ]


def _reading_only(argument: int) -> list[_Step]:
    return [_load(argument), (_IF_BITS, 0, 1, _NOT_ONLY_READING), _REFUSE, _ALLOW]


# RLIMIT_DATA counts neither shared mappings nor those that grow downwards, so they are refused. The exception is shared
# writable mappings, which only the files of the frames allow: all other files can be opened only for reading. Shared
# read-only mappings are refused because one of /dev/zero, for instance, is memory, too.
_COUNTED_MEMORY_ONLY: list[_Step] = [
    _load(3),  # flags of the mapping
    (_IF_BITS, 5, 0, _MAP_GROWSDOWN),
    (_IF_BITS, 0, 3, _MAP_SHARED),
    (_IF_BITS, 3, 0, _MAP_ANONYMOUS),
    _load(2),  # protection of the mapping
    (_IF_BITS, 0, 1, _PROT_WRITE),
    _ALLOW,
    _REFUSE,
]
