"""One-line error messages for invalid command lines, in place of the large boxes that tyro prints."""

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attn.errors import UsageError

_ALWAYS = ("--help", "-h")
_FLAG = re.compile(r"(--?[A-Za-z][\w.-]*)(?:=.*)?", re.DOTALL)
_STYLE = re.compile(r"\x1b\[[0-9;]*m|\[/?bold\]")
_SEE = "--help explains every flag"
LARGEST_SEED = 2**32 - 1
_LONGEST = 400  # characters of a tyro message


def check_flags(options_type: type[Any], given: Sequence[str], *, recipe: str | None = None) -> None:
    """Check for unknown flags and missing required flags.

    Args:
        options_type: dataclass of the flags.
        given: words of the command line.
        recipe: value of --recipe; a switch that it sets must not be given for the opposite.

    Raises:
        UsageError: a flag is unknown, redundant or missing; the message names the first one and suggests a fix.
    """
    fields = {f"--{field.name.replace('_', '-')}": field for field in dataclasses.fields(options_type)}
    known = {f"--no-{flag[2:]}" if field.default is True else flag for flag, field in fields.items()} | {*_ALWAYS}
    named = [match[1] for match in map(_FLAG.fullmatch, given) if match]
    unneeded = dict(_unneeded(options_type))
    values = getattr(options_type, "RECIPES", {}).get(recipe or "", {})
    sets = {f"--{'' if value else 'no-'}{name.replace('_', '-')}" for name, value in values.items()}
    default = f"the default{f' of --recipe {usual}' if (usual := getattr(options_type, 'recipe', None)) else ''}"
    for flag in named:
        if (opposite := unneeded.get(_dashed(flag))) and opposite in sets:
            raise UsageError(
                f"{flag}: contradicts --recipe {recipe}, which sets {opposite}. Omit one of the two flags."
            )
        if opposite:
            raise UsageError(f"{flag}: this is {default}. Leave it out, or give {opposite} for the opposite.")
        if "." not in flag and _dashed(flag) not in known:  # nested flags are checked by tyro
            raise UsageError(f"{flag}: unknown flag. {_meant(_dashed(flag), known, unneeded)}")
    if not {*named}.intersection(_ALWAYS):
        missing = [flag for flag, field in fields.items() if _required(field) and flag not in map(_dashed, named)]
        if missing:
            raise UsageError(f"{', '.join(missing)}: required. Give {'it' if len(missing) == 1 else 'them'}; {_SEE}.")


def check_lengths(options: Any, given: Iterable[str]) -> None:
    """Check that a flag of several values has one: `--lists $TRAIN` without the variable must not mean all videos.

    Args:
        options: dataclass with the values of the flags.
        given: words of the command line.

    Raises:
        UsageError: a flag that was given has no value.
    """
    named = {_dashed(match[1]) for match in map(_FLAG.fullmatch, given) if match}
    for field in dataclasses.fields(options):
        flag = f"--{field.name.replace('_', '-')}"
        if getattr(options, field.name) == () and flag in named:
            raise UsageError(f"{flag}: empty. Give at least one value, or leave it out.")


def check_seeds(options: Any, part: str = "") -> None:
    """Check the random seeds among the flags: 32 bits, as in scikit-learn.

    Args:
        options: dataclass with the values of the flags.
        part: name of the flag that contains these flags, with a dot.

    Raises:
        UsageError: a seed is out of range.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check_seeds(value, f"{part}{field.name}.")
        elif field.name in ("seed", "seeds"):
            for seed in value if isinstance(value, tuple) else (value,):
                if not 0 <= seed <= LARGEST_SEED:
                    raise UsageError(
                        f"--{part}{field.name} {seed}: out of range. Give integers from 0 to {LARGEST_SEED}."
                    )


def _unneeded(options_type: type[Any], part: str = "") -> Iterator[tuple[str, str]]:
    """Spelling of each switch for its default value, which is not a flag, and the flag for the opposite value."""
    for field in dataclasses.fields(options_type):
        name, of_part = field.name.replace("_", "-"), field.default_factory
        on, off = f"--{part}{name}", f"--{part}no-{name}"
        if isinstance(field.default, bool):
            yield (on, off) if field.default else (off, on)
        elif isinstance(of_part, type) and dataclasses.is_dataclass(of_part):
            yield from _unneeded(of_part, f"{part}{name}.")


def _dashed(flag: str) -> str:
    return flag[:2] + flag[2:].replace("_", "-")


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _meant(flag: str, known: set[str], unneeded: Iterable[str]) -> str:
    """Suggest flags with all words of `flag`, else the most similar flag, else flags that share a word."""
    words = {*flag.strip("-").split("-")}
    of_known = {one: {*one.strip("-").split("-")} for one in sorted(known)}
    longer = [one for one, its in of_known.items() if words <= its]
    close = difflib.get_close_matches(flag, sorted({*known, *unneeded}), n=1)
    if not longer and {*close} - known:
        return f"Did you mean {close[0]}? It is the default; leave it out."
    found = longer or close or [one for one, its in of_known.items() if words & its]
    return f"Did you mean {' or '.join(found[:3])}?" if found else f"{_SEE}."


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Convert an error message that tyro prints before it exits into a `UsageError`.

    Raises:
        UsageError: tyro printed to stderr; the message is the first paragraph.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit as end:
        if not printed.getvalue():
            raise
        raise UsageError(_first_paragraph(printed.getvalue())) from end


def _first_paragraph(box: str) -> str:
    """Text between the first two rules of a box. The upper rule may contain a title; ASCII boxes have no sides."""
    _, paragraph, *_ = [*re.split(r".*(?:─|-{4}).*", _STYLE.sub("", box)), ""]
    line = " ".join(paragraph.replace("│", " ").split())
    return f"{line[:_LONGEST].rstrip('.')}. {_SEE}."
