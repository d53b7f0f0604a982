"""Memory that two processes share and that nobody can leave behind.

An anonymous file has no name to forget: the system frees it with the last descriptor and the last mapping, however
the processes end. It is not bound by the size of /dev/shm either.
"""

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
        return os.memfd_create("attn-frames")
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
        needed = math.prod(shape)
        if self._memory is None or len(self._memory) < needed:
            if os.fstat(self.descriptor).st_size < needed:
                os.ftruncate(self.descriptor, needed)
            self._memory = mmap.mmap(self.descriptor, needed)
        return np.ndarray(shape, np.uint8, buffer=self._memory)

    def close(self) -> None:
        """Gives up the file; arrays stay."""
        self._close()
        self._memory = None
