"""Two kinds of errors: the user must change something, or one video cannot be used.

All other errors are bugs and keep their traceback.
"""

from collections.abc import Iterable


def some(names: Iterable[str], most: int = 5) -> str:
    """First few names, for a message, and the number of further ones."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


class UsageError(Exception):
    """Error that only the user can correct: a flag, a file, a class list.

    The message is one line that names the culprit and says what to do. Jobs print it and exit with 2, before any work
    is done.
    """


class VideoError(Exception):
    """Error of one video that cannot be read. It becomes a row of `failures/` and never stops a run."""


class FleetingError(VideoError):
    """Temporary error of one video, perhaps without a fault in the video.

    Its storage did not answer, or its decoder was killed or hung. A run retries the video before the error becomes a
    row of `failures/`.
    """


def refuse_flag(name: str, value: object, rule: str, wrong: bool) -> None:
    """Refuse the value of a flag if it is wrong.

    Args:
        name: name of the flag's field.
        value: value of the flag.
        rule: phrase that says which values are right.
        wrong: whether the value breaks the rule.
    """
    if wrong:
        raise UsageError(f"--{name.replace('_', '-')} {value}: {rule}.")
