"""Memory that two processes share and that the system frees however they end.

An anonymous file has no name, so it cannot be left behind: the system frees it with its last descriptor and its last
mapping. Its size is not limited by that of /dev/shm either. It can grow but not shrink, because a process that
truncates it would crash the other process at its next access.
"""

import contextlib
import fcntl
import math
import mmap
import os
import tempfile
import weakref

import numpy as np
from jaxtyping import UInt8

from attn.video.chunks import Shape


def anonymous_file() -> int:
    """Create a file without a name, in memory if the system supports it, and return its descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("attn-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with contextlib.suppress(OSError):  # systems that emulate Linux may lack seals
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        return descriptor
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Slot:
    """One process's view of a shared file, which grows to the largest array requested.

    Args:
        descriptor: descriptor of the file; the slot closes it, at the latest when the slot is deleted.
    """

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._memory: mmap.mmap | None = None

    def array(self, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """Return the first bytes of the slot as an array, which keeps them mapped even after the slot is closed."""
        if os.fstat(self.descriptor).st_size < math.prod(shape):
            os.ftruncate(self.descriptor, math.prod(shape))
        return self.filled(shape)

    def filled(self, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """Return the first bytes as `array` does, but do not grow the file: raise ValueError if it is shorter."""
        needed = math.prod(shape)
        if self._memory is None or len(self._memory) < needed:
            self._memory = mmap.mmap(self.descriptor, needed)
        return np.ndarray(shape, np.uint8, buffer=self._memory)

    def close(self) -> None:
        """Close the file; arrays stay valid."""
        self._close()
        self._memory = None
