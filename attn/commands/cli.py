"""Common entry code of all scripts: parse flags, set up logging, convert errors to exit codes."""

import argparse
import atexit
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

import tyro

from attn.commands.flag_errors import check_flags, check_lengths, check_seeds, in_one_line
from attn.commands.flag_help import explained, flag_words
from attn.commands.next_step import interrupted, last_line
from attn.engine.exit_codes import EXIT_INTERRUPTED, EXIT_USAGE
from attn.engine.terminal import CLOCK, end_on_sigterm, printable, say
from attn.errors import UsageError
from attn.settings import Settings
from attn.storage.error_messages import shown
from attn.training.recipe import WithRecipe

Options = TypeVar("Options")

log = logging.getLogger(__name__)

_exit_code: list[int] = []

QUIET, VERBOSE = "--quiet", "--verbose"
VERBOSITY = (
    f"{QUIET} prints warnings, errors and results only; {VERBOSE} adds messages of libraries. Every script has both."
)


def parse(options_type: type[Options], description: str | None, argv: Sequence[str] | None = None) -> Options:
    """Parse the command line into a frozen dataclass.

    A leading `--` is dropped because `ray job submit -- jobs/x.py -- …` passes it to the script. A class attribute
    `RENAMED` maps earlier spellings of flags, which still work, to those of today. On a terminal, a message announces
    that libraries are loaded next, which takes up to a minute on a busy machine.
    """
    renamed: Mapping[str, str] = getattr(options_type, "RENAMED", {})
    given = [renamed.get(word, word) for word in _given(argv)]
    try:
        return _parsed(options_type, f"{(description or '').strip()}\n\n{VERBOSITY}", _without_verbosity(given))
    except UsageError as error:
        _print_error(error)
        raise SystemExit(EXIT_USAGE) from error
    except BrokenPipeError:  # `--help | head` closed the pipe; Python would complain again when it flushes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _given(argv: Sequence[str] | None) -> list[str]:
    """Command line without the leading `--` of `ray job submit`."""
    given = list(sys.argv[1:] if argv is None else argv)
    return given[1:] if given[:1] == ["--"] else given


def _parsed(options_type: type[Options], description: str | None, given: list[str]) -> Options:
    check_flags(options_type, given, recipe=_asked(given, "--recipe"))
    if issubclass(options_type, Settings):
        given = [*_config_flags(given, options_type), *given]
    if issubclass(options_type, WithRecipe):
        values = options_type.RECIPES.get(_asked(given, "--recipe") or "", {})
        given = [*flag_words(options_type, values), *given]
    known = explained(options_type)
    with in_one_line():
        found = tyro.cli(known, description=description, args=given, config=(tyro.conf.FlagCreatePairsOff,))
    options = options_type(**{field.name: getattr(found, field.name) for field in dataclasses.fields(known)})
    check_lengths(options, given)
    check_seeds(options)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: idle threads must not spin
    say("loading libraries")
    return options


def _without_verbosity(given: list[str]) -> list[str]:
    """Remove the flags of the verbosity and set it."""
    quiet, verbose = QUIET in given, VERBOSE in given
    if quiet and verbose:
        raise UsageError(f"{QUIET}: contradicts {VERBOSE}. Give one of them.")
    logging.getLogger("attn").setLevel(logging.WARNING if quiet else logging.INFO)
    logging.getLogger().setLevel(logging.INFO if verbose else logging.WARNING)
    return [word for word in given if word not in (QUIET, VERBOSE)]


def _config_flags(given: Sequence[str], options_type: type[Settings]) -> list[str]:
    """Settings of the --config file as flags. They precede the given flags because the last value of a flag wins."""
    url = _asked(given, "--config")
    if url is None:
        return []
    from attn.commands.settings_file import settings_flags  # imported here to keep --help fast

    return settings_flags(url, options_type)


def _asked(given: Sequence[str], flag: str) -> str | None:
    """Value of one flag, read before all flags are parsed."""
    asked = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    asked.add_argument(flag, dest="value")
    try:
        return asked.parse_known_args(given)[0].value
    except argparse.ArgumentError:  # the flag has no value; the full parser reports it
        return None


def chosen(flag: str, options_types: Mapping[str, type[Options]], argv: Sequence[str] | None = None) -> type[Options]:
    """Options of a script whose flags depend on the value of one flag.

    Args:
        flag: name of that flag, such as --paper.
        options_types: value → options; the first ones are the default, and report an unknown value.
        argv: command line (default: that of the process).
    """
    value = _asked(_given(argv), flag)
    return options_types.get(value or "", next(iter(options_types.values())))


def run(job: Callable[[Options], int], options: Options) -> int:
    """Run a job and return its exit code. A user error is printed as one line.

    After a success, the last line says where the output is and which command comes next.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", CLOCK))
    logging.basicConfig(handlers=[handler])
    if not logging.getLogger("attn").level:  # not set by `parse`
        logging.getLogger("attn").setLevel(logging.INFO)
    end_on_sigterm()
    try:
        code = job(options)
    except UsageError as error:
        _print_error(error)
        return EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write(f"{interrupted(options)}\n")
        return EXIT_INTERRUPTED
    if code == 0 and (line := last_line(options)) is not None:
        log.info("%s", shown(line))
    return code


def end(exit_code: int) -> NoReturn:
    """Exit a script, skipping the exit handlers of C libraries.

    Arrow threads occasionally abort an exiting process although all work is done (apache/arrow#34314). Exit handlers of
    Python libraries still run.
    """
    _exit_code.append(exit_code)
    sys.exit(exit_code)


@atexit.register  # registered before those of other libraries, so that it runs last
def _leave() -> None:
    if _exit_code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_code[0])


class _OneLine(logging.Formatter):
    """Formatter that escapes our messages, which contain file names. Other messages may have several lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  name of the overridden method
        if record.name.startswith("attn"):
            record.message = printable(record.message)
        return super().formatMessage(record)


def _print_error(error: UsageError) -> None:
    """Print an error as one line without credentials: the message may contain a URL that was not checked for them."""
    sys.stderr.write(f"error: {printable(' '.join(shown(str(error)).split()))}\n")
