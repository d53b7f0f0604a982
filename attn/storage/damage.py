"""What a reader says of a part that it cannot read."""

import contextlib
import errno
from collections.abc import Iterator

import pyarrow as pa
from fsspec import AbstractFileSystem

from attn.errors import UsageError
from attn.storage.filesystem import is_local, storage_errors, url_of
from attn.storage.reasons import shown

SET_ASIDE = "run the same {job} again, which sets it aside and makes its videos again"
REPAIR = "jobs/verify.py --deep --repair sets it aside, and the same {job}, run again, makes its videos again"


@contextlib.contextmanager
def damage_named(fs: AbstractFileSystem, path: str, way_out: str, job: str) -> Iterator[None]:
    """What shows inside that a part is damaged, or not to be had, becomes one line that names it.

    Args:
        fs, path: the part.
        way_out: `SET_ASIDE` where the job that wrote the part would meet the damage itself; it reads small columns, so
            else `REPAIR`.
        job: wrote the part.
    """
    url = url_of(fs, path)
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError | pa.ArrowException) and is_damage(error, fs):
            said = " ".join(str(error).split())
            raise UsageError(f"{shown(url)} is damaged ({said}); {way_out.format(job=job)}") from error
        with storage_errors(url):
            raise


def is_damage(error: Exception, fs: AbstractFileSystem) -> bool:
    """Whether it is said of a part's bytes: by pyarrow, or by a disk that gives an error in place of them.

    Other errors of a storage are kinds of OSError or have a number.
    """
    if isinstance(error, OSError):
        return (type(error) is OSError and error.errno is None) or (is_local(fs) and error.errno == errno.EIO)
    return not isinstance(error, MemoryError)


def disk_fails(error: OSError, fs: AbstractFileSystem) -> bool:
    """Whether a disk cannot read what it holds. One on the network may say so for a moment; S3 means something else."""
    return is_local(fs) and error.errno in (errno.EIO, errno.ESTALE)
