"""Help texts of flags from the docstrings of the options' fields.

tyro by itself keeps the line breaks of the docstring at any terminal width, and prints None and empty defaults although
the text already explains the default.
"""

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import tyro

SAYS_NOTHING = ("", "None")


def explained(options_type: type[Any]) -> type[Any]:
    """Return a subclass of an options dataclass with help texts attached to the fields.

    A class attribute `WORDS` has texts for words in braces, such as a list of methods made from their table.
    """
    texts = {name: text for parent in reversed(options_type.__mro__[:-1]) for name, text in _texts(parent).items()}
    types = get_type_hints(options_type, include_extras=True)
    annotations = {
        field.name: Annotated[types[field.name], _argument(texts[field.name], is_on=field.default is True)]
        for field in dataclasses.fields(options_type)
        if field.name in texts and field.default_factory is dataclasses.MISSING
    }
    known = type(options_type.__name__, (options_type,), {"__annotations__": annotations, "__doc__": None})
    return dataclasses.dataclass(frozen=True, kw_only=True)(known)


def _argument(text: str, *, is_on: bool) -> Any:
    """Help of one flag; a switch that is on by default appears only as `--no-…`, which turns it off."""
    if is_on:
        return tyro.conf.arg(help=f"Turn this off: {text}", help_behavior_hint="")
    return tyro.conf.arg(help=text, help_behavior_hint=_hint)


def flag_words(options_type: type[Any], values: Mapping[str, Any]) -> list[str]:
    """Command-line words that set fields of an options dataclass to the given values."""
    usual = {field.name: field.default for field in dataclasses.fields(options_type)}
    return [word for name, value in values.items() for word in _words(name.replace("_", "-"), value, usual[name])]


def _words(flag: str, value: Any, default: Any) -> list[str]:
    if isinstance(value, bool):
        return [] if value is default else [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def _hint(default: str) -> str:
    return "" if default in SAYS_NOTHING else f"(default: {default})"


def _texts(options_type: type[Any]) -> dict[str, str]:
    """Docstrings of the fields by name, each on one line."""
    module, texts = ast.parse(textwrap.dedent(inspect.getsource(options_type))), {}
    for statement, after in itertools.pairwise(next(ast.iter_child_nodes(module)).body):  # type: ignore[attr-defined]
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    for word, meaning in getattr(options_type, "WORDS", {}).items():
        texts = {name: text.replace(f"{{{word}}}", meaning) for name, text in texts.items()}
    return texts
