"""The two ways things go wrong: the user must change something, or one video is no good.

Everything else is a bug and keeps its traceback.
"""

from collections.abc import Iterable


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of some names, for a message, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


class UsageError(Exception):
    """Something only the user can put right: a flag, a file, a class list.

    The message is one line that names the culprit and says what to do. Jobs print it and exit with 2, before any
    work was done.
    """


class VideoError(Exception):
    """One video cannot be read. It becomes a row of `failures/` and never stops a run."""


class FleetingError(VideoError):
    """One video could not be read now, perhaps through no fault of its own: its storage did not answer, its decoder was
    ended or stood still. A run tries it again before it becomes a row of `failures/`."""
