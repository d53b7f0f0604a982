"""Recipes as defaults of a command line, and as those of trainings that began before there were any."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from attn.commands.cli import parse
from attn.errors import UsageError
from attn.training.recipe import WithRecipe, as_begun, check_recipe, paper_recipe, unnamed_before


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cooking(WithRecipe):
    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "steady": {},
        "paper": {"heat": 9.0, "minutes": 3, "stir": False, "taste": True},
    }
    heat: float = 2.0
    """Level."""
    minutes: int = 60
    """Time."""
    stir: bool = True
    """Stir."""
    taste: bool = False
    """Taste."""
    salt: float = 1.0
    """Not of the recipe."""


PAPER = Cooking(recipe="paper", heat=9.0, minutes=3, stir=False, taste=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Cooking()),
        (["--recipe", "paper"], PAPER),
        (["--recipe=paper", "--salt", "2"], dataclasses.replace(PAPER, salt=2.0)),
        (["--recipe", "paper", "--heat", "9"], PAPER),
        (["--heat", "5", "--recipe", "paper"], dataclasses.replace(PAPER, heat=5.0)),
        (["--recipe", "steady", "--no-stir"], Cooking(stir=False)),
    ],
)
def test_a_recipe_is_a_set_of_defaults(words, expected):
    assert parse(Cooking, None, words) == expected


@pytest.mark.parametrize("words", [["--recipe", "french"], ["--recipe"]])
def test_a_recipe_that_there_is_not_is_refused(words):
    with pytest.raises(SystemExit) as ended:
        parse(Cooking, None, words)
    assert ended.value.code == 2


def test_the_first_contradiction_is_named():
    for options in (Cooking(), Cooking(heat=7.0), PAPER, paper_recipe(Cooking())):
        check_recipe(options)
    with pytest.raises(UsageError, match=r"^--recipe paper: it sets --heat to 9, not 2\. Omit one of the two flags\.$"):
        check_recipe(Cooking(recipe="paper"))
    with pytest.raises(UsageError, match="--recipe paper: it sets --stir to off, not on"):
        check_recipe(dataclasses.replace(PAPER, stir=True))


def test_programs_get_the_same():
    assert paper_recipe(Cooking(salt=3.0)) == dataclasses.replace(PAPER, salt=3.0)


@pytest.mark.parametrize(
    ("given", "begun", "expected", "unnamed"),
    [
        (Cooking(), None, Cooking(), set()),
        (Cooking(), {"heat": 9.0}, PAPER, {"recipe", "minutes", "stir", "taste"}),
        # its command said the number that is the default today
        (Cooking(), {"heat": 2.0}, dataclasses.replace(PAPER, heat=2.0), {"recipe", "minutes", "stir", "taste"}),
        (Cooking(heat=5.0), {"heat": 9.0}, dataclasses.replace(PAPER, heat=5.0), None),
        (PAPER, {"heat": 9.0}, PAPER, None),
        (Cooking(salt=2.0), {"heat": 9.0, "salt": 2.0}, dataclasses.replace(PAPER, salt=2.0), None),
    ],
)
def test_a_training_of_before_recipes_has_what_the_paper_has_unless_its_record_says_otherwise(
    given, begun, expected, unnamed
):
    options = as_begun(given, begun)
    assert options == expected
    if unnamed is not None:
        left_out = unnamed_before(options, begun)
        assert left_out.keys() == unnamed
        assert all(getattr(PAPER, name) == value for name, value in left_out.items())
