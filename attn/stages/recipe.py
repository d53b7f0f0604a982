"""Recipes of a training: named sets of values for the options that decide how the weights change.

A recipe replaces defaults, so a flag beside it that says otherwise is a contradiction. No torch, no Ray: command lines
are read with it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from attn.errors import UsageError

PAPER = "paper"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithRecipe:
    """Options that a recipe sets.

    Attributes:
        RECIPES: recipe → field → value; a recipe without values is the defaults of the class.
        FREE: fields that a flag may change beside any recipe, since its source says nothing of them.
    """

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {"steady": {}, PAPER: {}}
    FREE: ClassVar[frozenset[str]] = frozenset()

    recipe: Literal["steady", "paper"] = "steady"
    """steady: the defaults. paper: the values of the paper."""


Options = TypeVar("Options", bound=WithRecipe)


def paper_recipe(options: Options) -> Options:
    """The same options with `--recipe paper` and its values, for programs that make options themselves."""
    return dataclasses.replace(options, **_paper(options))


def contradiction(options: WithRecipe) -> str | None:
    """The first field that is not what the recipe says."""
    values = options.RECIPES[options.recipe].items()
    return next((name for name, value in values if name not in options.FREE and getattr(options, name) != value), None)


def check_recipe(options: WithRecipe) -> None:
    """Refuses a value that contradicts the recipe.

    Raises:
        UsageError: names the first one.
    """
    if (name := contradiction(options)) is not None:
        there, here = _shown(options.RECIPES[options.recipe][name]), _shown(getattr(options, name))
        raise UsageError(
            f"--recipe {options.recipe}: --{name.replace('_', '-')} is {there} there, not {here}. "
            "Leave out one of the two."
        )


def as_begun(options: Options, begun: Mapping[str, Any] | None) -> Options:
    """The options with which a training of the time before recipes resumes.

    Such a training used the paper's recipe wherever its command said nothing. The same command today says nothing
    either, and gets the new defaults: they become the paper's values again, unless the record of the training has that
    very number.

    Args:
        options: of the command; None still means that a flag was left out.
        begun: `decisive` of the training's record if it names no recipe, see `TrainRun.begun_before_recipes`.
    """
    if begun is None:
        return options
    usual = {field.name: field.default for field in dataclasses.fields(options)}
    old = {
        name: value
        for name, value in _paper(options).items()
        if getattr(options, name) == usual[name] and begun.get(name) != usual[name]
    }
    return dataclasses.replace(options, **old)


def unnamed_before(options: WithRecipe, begun: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields that the record of a training of the time before recipes has not, with the values they had unsaid."""
    return {} if begun is None else {name: value for name, value in _paper(options).items() if name not in begun}


def _paper(options: WithRecipe) -> dict[str, Any]:
    return {"recipe": PAPER, **options.RECIPES[PAPER]}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
