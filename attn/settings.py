"""Base of the settings of trainings that a search may vary."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

Point = dict[str, Any]
"""A value for each of some settings."""


class Settings:
    """Settings of a training, as a dataclass; options of jobs derive from it.

    Attributes:
        NAME: key of the settings in a file, such as best.json of a search.
        NOT_SEARCHED: settings that cannot be searched, because they determine a trial's length or its validation, or
            set several others.
    """

    NAME: ClassVar[str]
    NOT_SEARCHED: ClassVar[tuple[str, ...]]

    def check(self) -> None:
        """Check all settings.

        Raises:
            UsageError: a setting is out of range or contradicts another.
        """
        raise NotImplementedError

    def usual(self, name: str) -> Any:
        """Value of a setting that takes effect; a setting may have None for a default that depends on others."""
        return getattr(self, name)

    def settle(self, point: Mapping[str, Any]) -> Point:
        """Adjust a point of a search so that it is valid with the other settings; none is discarded.

        Args:
            point: values of some settings.
        """
        return dict(point)

    def check_ends(self, ends: Callable[[str], tuple[Any, ...]]) -> None:
        """Check that a search space has a valid point.

        Args:
            ends: function from a setting to the bounds or values that it may have.

        Raises:
            UsageError: no point is valid.
        """


def settings_type(options: Settings | type[Settings]) -> type[Settings]:
    """Class of the settings from which options of a job derive."""
    kind = options if isinstance(options, type) else type(options)
    return next(parent for parent in kind.__mro__ if "NOT_SEARCHED" in vars(parent))
