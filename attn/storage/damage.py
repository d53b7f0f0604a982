"""Errors of parts that cannot be read: which of them mean damage, and their messages."""

import contextlib
import errno
from collections.abc import Iterator

import pyarrow as pa
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import is_local, storage_errors, url_of

SET_ASIDE = "Run the same {job} again: it moves the part to _damaged/ and computes its videos again"
REPAIR = "Run jobs/verify.py --deep --repair to move it to _damaged/, then the same {job} to compute its videos again"


@contextlib.contextmanager
def damage_named(fs: AbstractFileSystem, path: str, way_out: str, job: str) -> Iterator[None]:
    """Turn read errors of a part inside the block into a one-line UsageError that names the part.

    Args:
        fs, path: filesystem and path of the part.
        way_out: `SET_ASIDE` if the job that wrote the part would find the damage itself, otherwise `REPAIR`. That job
            reads only small columns.
        job: name of the job that wrote the part.

    Raises:
        UsageError: the part is damaged or cannot be read.
    """
    url = url_of(fs, path)
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError | pa.ArrowException) and is_damage(error, fs):
            detail = " ".join(str(error).split())
            raise UsageError(f"{shown(url)}: the part is damaged ({detail}). {way_out.format(job=job)}.") from error
        with storage_errors(url):
            raise


def is_damage(error: Exception, fs: AbstractFileSystem) -> bool:
    """Whether an error means damaged bytes: one raised by pyarrow, or an I/O error of a local disk.

    Other errors of a storage are subclasses of OSError or have an errno.
    """
    if isinstance(error, OSError):
        return (type(error) is OSError and error.errno is None) or (is_local(fs) and error.errno == errno.EIO)
    return not isinstance(error, MemoryError)


def disk_fails(error: OSError, fs: AbstractFileSystem) -> bool:
    """Whether a disk cannot read its data. Network disks may report this briefly; on S3 it means something else."""
    return is_local(fs) and error.errno in (errno.EIO, errno.ESTALE)
