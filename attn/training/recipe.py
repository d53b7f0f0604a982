"""Training recipes: named sets of values for the options that affect training.

A recipe replaces defaults, so a flag with a different value contradicts it. This module imports neither torch nor Ray,
because it is used to parse command lines.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from attn.errors import UsageError

PAPER = "paper"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithRecipe:
    """Options with recipes.

    Attributes:
        RECIPES: recipe → field → value; a recipe without values uses the defaults of the class.
        FREE: fields that flags may change with any recipe, because the paper does not specify them.
    """

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {"steady": {}, PAPER: {}}
    FREE: ClassVar[frozenset[str]] = frozenset()

    recipe: Literal["steady", "paper"] = "steady"
    """steady: the defaults. paper: the values given in the paper."""


Options = TypeVar("Options", bound=WithRecipe)


def paper_recipe(options: Options) -> Options:
    """Return the options with `--recipe paper` and its values, for callers that construct options in code."""
    return dataclasses.replace(options, **_paper(options))


def contradiction(options: WithRecipe) -> str | None:
    """Name of the first field whose value differs from the recipe's; None if all agree."""
    values = options.RECIPES[options.recipe].items()
    return next((name for name, value in values if name not in options.FREE and getattr(options, name) != value), None)


def check_recipe(options: WithRecipe) -> None:
    """Check that all values agree with the recipe.

    Raises:
        UsageError: a value contradicts the recipe; the message names the first one.
    """
    if (name := contradiction(options)) is not None:
        there, here = _shown(options.RECIPES[options.recipe][name]), _shown(getattr(options, name))
        raise UsageError(
            f"--recipe {options.recipe}: it sets --{name.replace('_', '-')} to {there}, not {here}. "
            "Omit one of the two flags."
        )


def as_begun(options: Options, begun: Mapping[str, Any] | None) -> Options:
    """Return the options for resuming a training run that was started before recipes existed.

    In such a run, the paper's values were the defaults. The command that resumes the run gets the new defaults, so
    every option with its default value is set to the paper's value, unless the run's record contains the new default.

    Args:
        options: options of the command; None still means that a flag was omitted.
        begun: `decisive` of the run's record if the record has no recipe, see `TrainRun.begun_before_recipes`;
            otherwise None, and the options are returned unchanged.
    """
    if begun is None:
        return options
    usual = {field.name: field.default for field in dataclasses.fields(options)}
    old = {
        name: value
        for name, value in _paper(options).items()
        if getattr(options, name) == usual[name] and (name not in begun or begun[name] != usual[name])
    }
    return dataclasses.replace(options, **old)


def unnamed_before(options: WithRecipe, begun: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields missing in the record of a run from before recipes existed, with the defaults of that time."""
    return {} if begun is None else {name: value for name, value in _paper(options).items() if name not in begun}


def _paper(options: WithRecipe) -> dict[str, Any]:
    return {"recipe": PAPER, **options.RECIPES[PAPER]}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
