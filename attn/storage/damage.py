"""What a reader says of a part that it cannot read."""

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from attn.errors import UsageError
from attn.storage.reasons import shown

SET_ASIDE = "run the same {job} again, which sets it aside and makes its videos again"
REPAIR = "jobs/verify.py --deep --repair sets it aside, and the same {job}, run again, makes its videos again"


@contextlib.contextmanager
def damage_named(url: str, way_out: str, job: str = "precompute") -> Iterator[None]:
    """What shows inside that the content of a part is damaged becomes one line that names it.

    Args:
        url: of the part.
        way_out: `SET_ASIDE` where the job that wrote the part would meet the damage itself; it reads small columns, so
            else `REPAIR`.
        job: wrote the part.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if not is_damage(error):
            raise
        raise UsageError(
            f"{shown(url)} is damaged ({' '.join(str(error).split())}); {way_out.format(job=job)}"
        ) from error


def is_damage(error: Exception) -> bool:
    """Whether pyarrow says it of a part's bytes; an error of the storage is a kind of OSError or has a number."""
    if isinstance(error, OSError):
        return type(error) is OSError and error.errno is None
    return not isinstance(error, MemoryError)
