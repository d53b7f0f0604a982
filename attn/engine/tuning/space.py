"""What is searched: a range or a list of values for some settings of an EnergyNet, as data.

No torch, no ray, no optuna, no storage: `tune/search.py --help` imports this.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping
from typing import Any, get_args

from attn.errors import UsageError
from attn.stages.energy_config import EnergyConfig

FIELDS = {field.name: field for field in dataclasses.fields(EnergyConfig)}
SEARCHABLE = tuple(
    name for name in FIELDS if name not in ("recipe", "seed", "updates", "look_every", "patience", "holdout_fraction")
)
"""Settings that may be searched. The others decide how long a trial takes and on what it is judged, or stand for
several settings."""

Point = dict[str, Any]
"""A value for each setting of a space."""


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers between two.

    Attributes:
        low, high: both belong to it. Whole numbers where both are and the setting is a whole number.
        log: as many draws between 1 and 10 as between 10 and 100.
    """

    low: float
    high: float
    log: bool = False

    def check(self, name: str) -> None:
        """Refuses an empty range.

        Raises:
            UsageError: what is wrong with it.
        """
        if not all(
            isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)
            for end in (self.low, self.high)
        ):
            raise UsageError(f"{name}: the ends of a range are finite numbers, not {self.low!r} and {self.high!r}")
        if self.low >= self.high:
            raise UsageError(f"{name}: the range from {self.low:g} to {self.high:g} is empty; give low below high")
        if self.log and self.low <= 0:
            raise UsageError(f"{name}: a log range begins above 0, not at {self.low:g}")

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Choice:
    """Some values.

    Attributes:
        values: two at least, or one that is fixed.
    """

    values: tuple[Any, ...]

    def check(self, name: str) -> None:
        """Refuses no values.

        Raises:
            UsageError: what is wrong with them.
        """
        if not self.values:
            raise UsageError(f"{name}: no values to choose from")
        if not all(isinstance(value, bool | int | float | str) for value in self.values):
            raise UsageError(f"{name}: values are numbers, words or true and false, not {list(self.values)!r}")
        if len(set(self.values)) < len(self.values):
            raise UsageError(f"{name}: {', '.join(map(str, self.values))}: name each value once")

    def holds(self, value: Any) -> bool:
        return value in self.values

    def ends(self) -> tuple[Any, ...]:
        return self.values


Space = Mapping[str, Range | Choice]


def check_space(space: Space, base: EnergyConfig) -> None:
    """Refuses a space with a point that could not be trained, before anything is.

    Args:
        space: perhaps the user's own.
        base: the settings that are not searched.

    Raises:
        UsageError: the first setting that is wrong, and why.
    """
    if not space:
        raise UsageError("the search space is empty; name one setting at least")
    for name, domain in space.items():
        if name not in SEARCHABLE:
            raise UsageError(f"{name} cannot be searched; what can is {', '.join(SEARCHABLE)}")
        domain.check(name)
        for value in domain.ends():
            _check_value(name, value, base)
    initial = _ends("candidates_initial", space, base)
    if (hard := min(_ends("num_hard", space, base))) > max(initial):
        raise UsageError(
            f"num_hard is {hard} at least, but candidates_initial {max(initial)} at most; K_h ≤ M0 is needed"
        )
    if (final := max(_ends("candidates_final", space, base))) < min(initial):
        raise UsageError(
            f"candidates_final is {final} at most, but candidates_initial {min(initial)} at least; M0 ≤ M1 is needed"
        )


def _check_value(name: str, value: Any, base: EnergyConfig) -> None:
    usual = getattr(base, name)
    fits = isinstance(value, int | float) if isinstance(usual, float) else isinstance(value, type(usual))
    if not fits or isinstance(value, bool) is not isinstance(usual, bool):
        raise UsageError(f"search space: {name}: {value!r} is no {type(usual).__name__}")
    named = get_args(FIELDS[name].type)
    if named and value not in named:
        raise UsageError(f"search space: {name}: {value!r} is none of {', '.join(named)}")
    try:
        dataclasses.replace(base, **settle({name: value}, base)).check()
    except UsageError as error:
        raise UsageError(f"search space: {error}") from error


def _ends(name: str, space: Space, base: EnergyConfig) -> tuple[Any, ...]:
    return space[name].ends() if name in space else (getattr(base, name),)


def settle(point: Point, base: EnergyConfig) -> Point:
    """The same point with K_h ≤ M0 ≤ M1: a K_h that was drawn too large becomes M0, and so does an M1 too small.

    So that every draw of a sampler can be trained, and none is thrown away.

    Args:
        point: values of some settings.
        base: the others.
    """
    drawn = {name: point.get(name, getattr(base, name)) for name in ("num_hard", "candidates_final")}
    initial = point.get("candidates_initial", base.candidates_initial)
    bound = {
        "num_hard": min(drawn["num_hard"], initial),
        "candidates_final": max(drawn["candidates_final"], initial),
    }
    return {**point, **{name: value for name, value in bound.items() if name in point or value != drawn[name]}}


def usual_point(space: Space, base: EnergyConfig) -> Point:
    """The settings as they are without a search, as far as the space has them."""
    usual = {name: getattr(base, name) for name in space}
    return {name: value for name, value in usual.items() if space[name].holds(value)}


def grid(space: Space, base: EnergyConfig) -> list[Point]:
    """All combinations of the values with K_h ≤ M0 ≤ M1, in a shuffled order that is always the same.

    Raises:
        UsageError: a range has no list of values.
    """
    values = []
    for name, domain in space.items():
        if isinstance(domain, Range):
            raise UsageError(f"--sampler grid: {name} is a range; list its values in a file for --space")
        values.append(domain.values)
    points = [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]
    points = [point for point in points if point.items() <= settle(point, base).items()]
    random.Random(0).shuffle(points)
    return points
