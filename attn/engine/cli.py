"""The work of every script around its one call: read the flags, log, turn errors into exit codes.

Exit codes: 0 done · 1 the CNN or a storage failed, steps or trials did, a store is not complete · 2 the user must
change something: nothing was done, or a training cannot go on (its loss is not finite, its storage full, its states
damaged) and keeps the last good ones · 3 too many videos failed · 4 a training has learnt nothing: its report
says why, and what it wrote is there to be looked at · 130 interrupted.
"""

import argparse
import atexit
import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn, TypeVar

import tyro

from attn.engine.flag_errors import check_flags, in_one_line
from attn.engine.flag_help import explained, flag_words
from attn.errors import UsageError
from attn.stages.recipe import WithRecipe
from attn.storage.reasons import shown

Options = TypeVar("Options")

_exit_code: list[int] = []

CLOCK = "%H:%M:%S"

EXIT_USAGE = 2
EXIT_FAILED_VIDEOS = 3
EXIT_UNTRAINED = 4
EXIT_INTERRUPTED = 130


def parse(options_type: type[Options], description: str | None, argv: Sequence[str] | None = None) -> Options:
    """The flags as a frozen dataclass.

    A `--` in front is dropped: `ray job submit -- jobs/x.py -- …` hands it on to the script. Libraries are loaded next,
    which takes a minute on a busy machine: a terminal says so.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["--"]:
        given = given[1:]
    try:
        return _parsed(options_type, description, given)
    except UsageError as error:
        _tell(error)
        raise SystemExit(EXIT_USAGE) from error


def _parsed(options_type: type[Options], description: str | None, given: list[str]) -> Options:
    check_flags(options_type, given)
    if any(field.name == "config" for field in dataclasses.fields(options_type)):  # type: ignore[arg-type]
        given = [*_found_settings(given), *given]
    if issubclass(options_type, WithRecipe):
        values = options_type.RECIPES.get(_asked(given, "--recipe") or "", {})
        given = [*flag_words(options_type, values), *given]
    known = explained(options_type)
    with in_one_line():
        found = tyro.cli(known, description=description, args=given, config=(tyro.conf.FlagCreatePairsOff,))
    options = options_type(**{field.name: getattr(found, field.name) for field in dataclasses.fields(known)})
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: idle threads must not spin
    say("loading libraries")
    return options


def _found_settings(given: Sequence[str]) -> list[str]:
    """The settings of the file behind --config as flags; of a flag given twice the later one counts."""
    url = _asked(given, "--config")
    if url is None:
        return []
    from attn.engine.settings_file import settings_flags  # not for --help, which answers at once

    return settings_flags(url)


def _asked(given: Sequence[str], flag: str) -> str | None:
    """Value of a flag, before the others are parsed."""
    asked = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    asked.add_argument(flag, dest="value")
    try:
        return asked.parse_known_args(given)[0].value
    except argparse.ArgumentError:  # the flag has no value; the parser of all flags says so
        return None


def run(job: Callable[[Options], int], options: Options) -> int:
    """Exit code of a job; an error that the user must mend is printed as one line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", CLOCK))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("attn").setLevel(logging.INFO)
    end_on_sigterm()
    try:
        return job(options)
    except UsageError as error:
        _tell(error)
        return EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command resumes from here\n")
        return EXIT_INTERRUPTED


def say(text: str) -> None:
    """Tells a user at a terminal what the job waits for now. Elsewhere a mistake stays the only line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{time.strftime(CLOCK)} {printable(text)}\n")


def end(exit_code: int) -> NoReturn:
    """Ends the process of a script, past what C libraries do at its end.

    Threads of Arrow now and then abort a process that is on its way out although all was done (apache/arrow#34314).
    Python libraries do their work at the end.
    """
    _exit_code.append(exit_code)
    sys.exit(exit_code)


@atexit.register  # before any heavy library does, so that it comes after them
def _leave() -> None:
    if _exit_code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_code[0])


def printable(text: str) -> str:
    """A name as it may stand in a line: what would begin another line, or command a terminal, is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class _OneLine(logging.Formatter):
    """Names of videos in our messages are whatever someone called a file; others' messages may have lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  its name
        if record.name.startswith("attn"):
            record.message = printable(record.message)
        return super().formatMessage(record)


def end_on_sigterm() -> None:
    """SIGTERM, as `ray job stop` sends it, lets a job write what it has, as Ctrl-C does.

    The work of Ctrl-C is called, not sent: jobs that Ray starts may have that signal blocked, those of a shell script
    ignore it.
    """

    def stop(_: int, frame: FrameType | None) -> None:
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(on_ctrl_c):
            raise KeyboardInterrupt
        on_ctrl_c(signal.SIGINT, frame)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _tell(error: UsageError) -> None:
    """One line, in which no URL shows a password: the message may be older than any look at the URL."""
    sys.stderr.write(f"error: {printable(' '.join(shown(str(error)).split()))}\n")
