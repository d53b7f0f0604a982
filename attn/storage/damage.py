"""Errors of parts that cannot be read: which of them mean damage, and their messages."""

import contextlib
import errno
from collections.abc import Iterator

import pyarrow as pa

from attn.errors import UsageError
from attn.storage.location import Location

SET_ASIDE = "Run the same {job} again: it moves the part to _damaged/ and computes its videos again"
REPAIR = "Run jobs/verify.py --deep --repair to move it to _damaged/, then the same {job} to compute its videos again"


@contextlib.contextmanager
def damage_named(part: Location, way_out: str, job: str) -> Iterator[None]:
    """Turn read errors of a part inside the block into a one-line UsageError that names the part.

    Args:
        part: location of the part.
        way_out: `SET_ASIDE` if the job that wrote the part would find the damage itself, otherwise `REPAIR`. That job
            reads only small columns.
        job: name of the job that wrote the part.

    Raises:
        UsageError: the part is damaged or cannot be read.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError | pa.ArrowException) and is_damage(error, part):
            detail = " ".join(str(error).split())
            raise UsageError(f"{part}: the part is damaged ({detail}). {way_out.format(job=job)}.") from error
        with part.errors():
            raise


def is_damage(error: Exception, store: Location) -> bool:
    """Whether an error means damaged bytes: one raised by pyarrow, or an I/O error of a local disk.

    Other errors of a storage are subclasses of OSError or have an errno.
    """
    if isinstance(error, OSError):
        return (type(error) is OSError and error.errno is None) or (store.is_local and error.errno == errno.EIO)
    return not isinstance(error, MemoryError)


def disk_fails(error: OSError, place: Location) -> bool:
    """Whether a disk cannot read its data. Network disks may report this briefly; on S3 it means something else."""
    return place.is_local and error.errno in (errno.EIO, errno.ESTALE)
