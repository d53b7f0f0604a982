"""Search spaces: a range or a list of values for some settings of a training.

Imports no torch, Ray, Optuna or storage, because `tune/search.py --help` imports this module.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from attn.errors import UsageError
from attn.settings import Point, Settings, settings_type


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


def searchable(base: Settings) -> tuple[str, ...]:
    """Names of the settings that may be searched."""
    kind = settings_type(base)
    return tuple(field.name for field in dataclasses.fields(kind) if field.name not in kind.NOT_SEARCHED)  # type: ignore[arg-type]


def check_space(space: Space, base: Settings) -> None:
    """Check before a search that every point of its space is a valid configuration.

    Args:
        space: space to check; may be user-defined.
        base: settings that are not searched.

    Raises:
        UsageError: a setting cannot be searched, or has an invalid value.
    """
    if not space:
        raise UsageError("the search space is empty. Name at least one setting.")
    names = searchable(base)
    for name, domain in space.items():
        if name not in names:
            raise UsageError(f"{name}: cannot be searched. Choose from {', '.join(names)}.")
        domain.check(name)
        for value in domain.ends():
            _check_value(name, value, base)
    base.check_ends(lambda name: space[name].ends() if name in space else (getattr(base, name),))


def _check_value(name: str, value: Any, base: Settings) -> None:
    usual = getattr(base, name)
    kind = float if usual is None else type(usual)
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or isinstance(value, bool) is not (kind is bool):
        raise UsageError(f"search space: {name}: {value!r} is not of type {kind.__name__}. Correct the value.")
    named = [choice for choice in get_args(get_type_hints(type(base))[name]) if isinstance(choice, str)]
    if named and value not in named:
        raise UsageError(f"search space: {name}: {value!r} is unknown. Choose from {', '.join(named)}.")
    try:
        changed: Any = dataclasses.replace(base, **base.settle({name: value}))  # type: ignore[type-var]
        changed.check()
    except UsageError as error:
        raise UsageError(f"search space: {error}") from error


def usual_point(space: Space, base: Settings) -> Point:
    """Settings of `base` that the space contains, without those whose value is outside it."""
    usual = {name: base.usual(name) for name in space}
    return {name: value for name, value in usual.items() if space[name].holds(value)}


def grid(space: Space, base: Settings) -> list[Point]:
    """Return all valid combinations of values, in a fixed shuffled order.

    Raises:
        UsageError: the space contains a range.
    """
    values = []
    for name, domain in space.items():
        if isinstance(domain, Range):
            raise UsageError(f"--sampler grid: {name} is a range. List its values in a file and give it as --space.")
        values.append(domain.values)
    points = [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]
    points = [point for point in points if point.items() <= base.settle(point).items()]
    random.Random(0).shuffle(points)
    return points
