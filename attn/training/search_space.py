"""Search spaces: a range or a list of values for some settings of an EnergyNet.

Imports no torch, Ray, Optuna or storage, because `tune/search.py --help` imports this module.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping
from typing import Any, get_args

from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig

FIELDS = {field.name: field for field in dataclasses.fields(EnergyConfig)}
SEARCHABLE = tuple(
    name for name in FIELDS if name not in ("recipe", "seed", "updates", "look_every", "patience", "holdout_fraction")
)
"""Settings that may be searched. The others determine a trial's length or its validation, or set several settings."""

Point = dict[str, Any]
"""A value for each setting of a space."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of numbers.

    Attributes:
        low, high: bounds, both included. For an integer setting, both are integers and only integers are drawn.
        log: whether to draw uniformly in the logarithm: as often between 1 and 10 as between 10 and 100.
    """

    low: float
    high: float
    log: bool = False

    def check(self, name: str) -> None:
        """Check that the range is valid.

        Raises:
            UsageError: a bound is not finite, the range is empty, or a log range includes 0 or negative numbers.
        """
        if not all(
            isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)
            for end in (self.low, self.high)
        ):
            raise UsageError(f"{name}: the bounds are {self.low!r} and {self.high!r}. Give two finite numbers.")
        if self.low >= self.high:
            raise UsageError(f"{name}: the range from {self.low:g} to {self.high:g} is empty. Give low below high.")
        if self.log and self.low <= 0:
            raise UsageError(f"{name}: a log range cannot start at {self.low:g}. Give low above 0.")

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Choice:
    """List of values to choose from.

    Attributes:
        values: the values; a single one fixes the setting.
    """

    values: tuple[Any, ...]

    def check(self, name: str) -> None:
        """Check that the values are valid.

        Raises:
            UsageError: the list is empty, a value has an unsupported type, or a value is listed twice.
        """
        if not self.values:
            raise UsageError(f"{name}: the list of values is empty. Give at least one value.")
        if not all(isinstance(value, bool | int | float | str) for value in self.values):
            raise UsageError(f"{name}: {list(self.values)!r} is not valid. Give numbers, strings, true or false.")
        if len(set(self.values)) < len(self.values):
            raise UsageError(f"{name}: duplicate values in {', '.join(map(str, self.values))}. List each value once.")

    def holds(self, value: Any) -> bool:
        return value in self.values

    def ends(self) -> tuple[Any, ...]:
        return self.values


Space = Mapping[str, Range | Choice]


def check_space(space: Space, base: EnergyConfig) -> None:
    """Check before a search that every point of its space is a valid configuration.

    Args:
        space: space to check; may be user-defined.
        base: settings that are not searched.

    Raises:
        UsageError: a setting cannot be searched, or has an invalid value.
    """
    if not space:
        raise UsageError("the search space is empty. Name at least one setting.")
    for name, domain in space.items():
        if name not in SEARCHABLE:
            raise UsageError(f"{name}: cannot be searched. Choose from {', '.join(SEARCHABLE)}.")
        domain.check(name)
        for value in domain.ends():
            _check_value(name, value, base)
    initial = _ends("candidates_initial", space, base)
    if (hard := min(_ends("num_hard", space, base))) > max(initial):
        raise UsageError(
            f"num_hard: at least {hard}, above the largest candidates_initial, {max(initial)}. Change one of them so "
            "that K_h ≤ M0."
        )
    if (final := max(_ends("candidates_final", space, base))) < min(initial):
        raise UsageError(
            f"candidates_final: at most {final}, below the smallest candidates_initial, {min(initial)}. Change one of "
            "them so that M0 ≤ M1."
        )


def _check_value(name: str, value: Any, base: EnergyConfig) -> None:
    usual = getattr(base, name)
    kind = float if usual is None else type(usual)
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or isinstance(value, bool) is not (kind is bool):
        raise UsageError(f"search space: {name}: {value!r} is not of type {kind.__name__}. Correct the value.")
    named = [choice for choice in get_args(FIELDS[name].type) if isinstance(choice, str)]
    if named and value not in named:
        raise UsageError(f"search space: {name}: {value!r} is unknown. Choose from {', '.join(named)}.")
    try:
        dataclasses.replace(base, **settle({name: value}, base)).check()
    except UsageError as error:
        raise UsageError(f"search space: {error}") from error


def _ends(name: str, space: Space, base: EnergyConfig) -> tuple[Any, ...]:
    return space[name].ends() if name in space else (getattr(base, name),)


def settle(point: Point, base: EnergyConfig) -> Point:
    """Adjust a point so that K_h ≤ M0 ≤ M1: a larger K_h or a smaller M1 becomes M0.

    Every draw of a sampler thus gives a valid configuration, and none is discarded.

    Args:
        point: values of some settings.
        base: values of all other settings.
    """
    drawn = {name: point.get(name, getattr(base, name)) for name in ("num_hard", "candidates_final")}
    initial = point.get("candidates_initial", base.candidates_initial)
    bound = {
        "num_hard": min(drawn["num_hard"], initial),
        "candidates_final": max(drawn["candidates_final"], initial),
    }
    return {**point, **{name: value for name, value in bound.items() if name in point or value != drawn[name]}}


def usual_point(space: Space, base: EnergyConfig) -> Point:
    """Settings of `base` that the space contains, without those whose value is outside it."""
    usual = {name: getattr(base, name) for name in space}
    return {name: value for name, value in usual.items() if space[name].holds(value)}


def grid(space: Space, base: EnergyConfig) -> list[Point]:
    """Return all combinations of values with K_h ≤ M0 ≤ M1, in a fixed shuffled order.

    Raises:
        UsageError: the space contains a range.
    """
    values = []
    for name, domain in space.items():
        if isinstance(domain, Range):
            raise UsageError(f"--sampler grid: {name} is a range. List its values in a file and give it as --space.")
        values.append(domain.values)
    points = [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]
    points = [point for point in points if point.items() <= settle(point, base).items()]
    random.Random(0).shuffle(points)
    return points
