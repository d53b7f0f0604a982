"""Help texts of flags as a reader wants them, from the docstrings of the options' fields.

tyro breaks its lines where the docstring breaks them, whatever the width of the terminal, and shows None and an empty
list as defaults where the text has said already what happens then.
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
    """A subclass of a dataclass of options with the same fields; each knows its help text."""
    texts = {name: text for parent in reversed(options_type.__mro__[:-1]) for name, text in _texts(parent).items()}
    types = get_type_hints(options_type, include_extras=True)
    annotations = {
        field.name: Annotated[types[field.name], tyro.conf.arg(help=texts[field.name], help_behavior_hint=_hint)]
        for field in dataclasses.fields(options_type)
        if field.name in texts and field.default_factory is dataclasses.MISSING
    }
    known = type(options_type.__name__, (options_type,), {"__annotations__": annotations, "__doc__": None})
    return dataclasses.dataclass(frozen=True, kw_only=True)(known)


def flag_words(options_type: type[Any], values: Mapping[str, Any]) -> list[str]:
    """The words of a command line that give fields of a dataclass of options these values."""
    usual = {field.name: field.default for field in dataclasses.fields(options_type)}
    return [word for name, value in values.items() for word in _words(name.replace("_", "-"), value, usual[name])]


def _words(flag: str, value: Any, default: Any) -> list[str]:
    if isinstance(value, bool):
        return [] if value is default else [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def _hint(default: str) -> str:
    return "" if default in SAYS_NOTHING else f"(default: {default})"


def _texts(options_type: type[Any]) -> dict[str, str]:
    """Docstring of each field, on one line."""
    module, texts = ast.parse(textwrap.dedent(inspect.getsource(options_type))), {}
    for statement, after in itertools.pairwise(next(ast.iter_child_nodes(module)).body):  # type: ignore[attr-defined]
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts
