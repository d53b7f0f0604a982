"""User-defined search spaces in JSON files."""

import json
from typing import Any

from attn.errors import UsageError
from attn.storage.location import Location
from attn.training.search_space import Choice, Range, Space


def read_space(url: str) -> Space:
    """Read a search space from a file such as

        {"lr": {"low": 1e-5, "high": 1e-2, "log": true}, "embedding_dim": {"values": [32, 64]}}

    Args:
        url: URL or local path of a JSON file.

    Raises:
        UsageError: the file does not exist or is not a search space.
    """
    try:
        found = json.loads(Location.at(url).read_text())
        return {name: _domain(given) for name, given in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{url}: not a search space ({error}). Write JSON such as "
            '{"lr": {"low": 1e-5, "high": 1e-2, "log": true}, "embedding_dim": {"values": [32, 64]}}.'
        ) from error


def _domain(given: dict[str, Any]) -> Range | Choice:
    if "values" in given:
        return Choice(**{**given, "values": tuple(given["values"])})
    return Range(**given)
