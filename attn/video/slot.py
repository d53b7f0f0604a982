"""Memory that two processes share and that no one can leave behind.

An anonymous file has no name to forget: the system frees it with the last descriptor and the last mapping, however
the processes end. It is not bound by the size of /dev/shm either. It can grow but not shrink: a process that cuts it
would have the other killed when that looks at what is gone.
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
    """Descriptor of a new file without a name; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("attn-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with contextlib.suppress(OSError):  # systems that imitate Linux may lack seals
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        return descriptor
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Slot:
    """One side's view of a shared file that grows to the largest array it was asked for.

    Args:
        descriptor: of the file; the slot closes it, at the latest when it goes itself.
    """

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._memory: mmap.mmap | None = None

    def array(self, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """The first bytes of the slot as an array, which keeps them mapped even when the slot is closed."""
        if os.fstat(self.descriptor).st_size < math.prod(shape):
            os.ftruncate(self.descriptor, math.prod(shape))
        return self.filled(shape)

    def filled(self, shape: Shape) -> UInt8[np.ndarray, "frame row col 3"]:
        """The same of what another program has written; an error where that is less."""
        needed = math.prod(shape)
        if self._memory is None or len(self._memory) < needed:
            self._memory = mmap.mmap(self.descriptor, needed)
        return np.ndarray(shape, np.uint8, buffer=self._memory)

    def close(self) -> None:
        """Gives up the file; arrays stay."""
        self._close()
        self._memory = None
