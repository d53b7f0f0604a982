"""What the process that decodes may ask of Linux: a filter of system calls, in effect for ever.

The filter (seccomp) refuses by the number of a call and by its plain arguments; it sees no names of files. What may be
read, and whose memory may be seen, is therefore Landlock's part (`confinement`); all else is refused here as well.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Machine(NamedTuple):
    """Its number as an architecture, and numbers of its system calls.

    Attributes:
        opens: calls that open by name, and where the flags stand among the arguments.
        signals: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, whose first argument is the receiver.
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


# Refused, a line each:
# - socket, socketpair (datagrams of such a socket go to any path), bind, ptrace, process_vm_readv and _writev, execve,
#   execveat, bpf, memfd_create, add_key, request_key, keyctl, unshare, setns, perf_event_open; fork and vfork where
#   they are calls of their own;
# - what Landlock lets pass on any file of the user's: chmod, fchmod, fchmodat, chown, fchown, lchown, fchownat, utime,
#   utimes, futimesat, utimensat, flock, and truncate, of which old ones know nothing;
# - what Landlock refuses too, where the kernel has it: mkdir, rmdir, creat, unlink, rename, link, symlink, mknod and
#   their kin, and open_by_handle_at;
# - setxattr, removexattr and their kin;
# - shared memory, semaphores and queues of System V and POSIX: memory that no limit counts, or that of others;
# - what may slow others: setpriority, ioprio_set, sched_setparam, _setscheduler, _setaffinity, _setattr.
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
# The same on every machine: pidfd_send_signal, io_uring_setup, which would get round the filter, pidfd_getfd,
# memfd_secret, fchmodat2, setxattrat, removexattrat, file_setattr.
_REFUSED_ANYWHERE = (424, 425, 438, 447, 452, 463, 466, 469)
# clone3 and openat2 hide behind a pointer what they are asked for; a system that seems to lack them is asked otherwise.
_UNKNOWN_ANYWHERE = (435, 437)
_CLONE_THREAD = 0x10000
_PROT_WRITE, _MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x2, 0x1, 0x20, 0x100
_NOT_ONLY_READING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC  # Linux cuts what it opens to be read, too
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what Python asks of descriptors. Others change the flags of
# files that are open for reading, or make and remove whole trees of some file systems.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. Others have the system signal any process (F_SETOWN,
# F_SETOWN_EX, F_SETSIG) or hold up those who write to a file (F_SETLK, F_SETLEASE); what F_SETFL could undo is the
# signal by which this process ends with its owner.
_FCNTLS = (0, 1, 2, 3, 1030)
_X32_CALLS = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = (_RETURN, 0, 0, 0x7FFF0000), (_RETURN, 0, 0, 0x80000000)
_REFUSE, _UNKNOWN = (_RETURN, 0, 0, 0x50000 | errno.EPERM), (_RETURN, 0, 0, 0x50000 | errno.ENOSYS)

_Step = tuple[int, int, int, int]


def filter_calls(system: ctypes.CDLL, threads: bool) -> bool:
    """Refuses from now on whatever decoding does not need; tells whether this system can.

    Args:
        system: the C library.
        threads: may new ones be started?
    """
    if platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    filter_ = _call_filter(_MACHINES[platform.machine()], os.getpid(), threads)
    steps = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("@HP", len(filter_) // 8, ctypes.addressof(steps))
    return system.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0) == 0


def _call_filter(machine: _Machine, pid: int, threads: bool) -> bytes:
    """Steps of 8 bytes: what to do, how many steps to skip if true and if not, and a value."""
    steps = [
        (_LOAD, 0, 0, 4),  # the machine for which the call is meant
        (_IF_EQUAL, 1, 0, machine.architecture),
        _KILL,
        (_LOAD, 0, 0, 0),  # the number of the call
        (_IF_AT_LEAST, 0, 1, _X32_CALLS),
        _REFUSE,
        *(step for call in (*machine.refused, *_REFUSED_ANYWHERE) for step in _of_call(call, [_REFUSE])),
        *(step for call in _UNKNOWN_ANYWHERE for step in _of_call(call, [_UNKNOWN])),
        # New processes would outlive the kill of this one; new threads would be without number.
        *_of_call(
            machine.clone, [_load(0), (_IF_BITS, 1, 0, _CLONE_THREAD), _REFUSE, _ALLOW] if threads else [_REFUSE]
        ),
        *_of_call(machine.mmap, _COUNTED_MEMORY_ONLY),
        *_of_call(machine.ioctl, _one_of(1, _IOCTLS)),
        *_of_call(machine.fcntl, _one_of(1, _FCNTLS)),
        *_of_call(machine.prlimit, _one_of(0, (0,))),  # its own limits
        # To itself: so it ends when it aborts. Of threads it is the first that may be named alone (tkill).
        *(step for call in machine.signals for step in _of_call(call, _one_of(0, (pid,)))),
        *(step for call, flags in machine.opens.items() for step in _of_call(call, _reading_only(flags))),
        _ALLOW,
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _of_call(call: int, steps: list[_Step]) -> list[_Step]:
    """Steps for one call; the last of them ends the filter."""
    return [(_IF_EQUAL, 0, len(steps), call), *steps]


def _load(argument: int) -> _Step:
    """The lower half of an argument, counted from 0; both machines have it first."""
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


# What is shared is not counted as data, nor is what grows downwards. The frames' files are shared to be written, which
# nothing else is that can still be opened: /dev/zero, say, is memory even where it is only read.
_COUNTED_MEMORY_ONLY: list[_Step] = [
    _load(3),  # its flags
    (_IF_BITS, 5, 0, _MAP_GROWSDOWN),
    (_IF_BITS, 0, 3, _MAP_SHARED),
    (_IF_BITS, 3, 0, _MAP_ANONYMOUS),
    _load(2),  # what the memory is for
    (_IF_BITS, 0, 1, _PROT_WRITE),
    _ALLOW,
    _REFUSE,
]
