"""What every script does around its one call: read the flags, log, turn errors into exit codes.

Exit codes: 0 done · 2 the user must change something, nothing was done · 3 too many videos failed.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from attn.errors import UsageError

Options = TypeVar("Options")

EXIT_USAGE = 2
EXIT_FAILED_VIDEOS = 3
EXIT_INTERRUPTED = 130


def parse(options_type: type[Options], description: str | None, argv: Sequence[str] | None = None) -> Options:
    """The flags as a frozen dataclass.

    A `--` in front is dropped: `ray job submit -- jobs/x.py -- …` hands it on to the script.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["--"]:
        given = given[1:]
    if any(field.name == "config" for field in dataclasses.fields(options_type)):  # type: ignore[arg-type]
        given = [*_found_settings(given), *given]
    return tyro.cli(options_type, description=description, args=given, config=(tyro.conf.FlagCreatePairsOff,))


def _found_settings(given: Sequence[str]) -> list[str]:
    """The settings of the file behind --config as flags; of a flag given twice the later one counts."""
    asked = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    asked.add_argument("--config")
    url = asked.parse_known_args(given)[0].config
    if url is None:
        return []
    from attn.engine.settings_file import settings_flags  # not for --help, which answers at once

    try:
        return settings_flags(url)
    except UsageError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(EXIT_USAGE) from error


def run(job: Callable[[Options], int], options: Options) -> int:
    """Exit code of a job; an error that the user must mend is printed as one line."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("attn").setLevel(logging.INFO)
    try:
        return job(options)
    except UsageError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return EXIT_INTERRUPTED
