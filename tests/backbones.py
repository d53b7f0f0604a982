"""Backbones for tests: one of each family by default, and its siblings, which share the code, in long tests."""

from collections.abc import Sequence
from typing import Any

import pytest

SIBLINGS = frozenset({"resnet34", "resnet50", "resnet101", "resnet152", "vgg16_bn", "squeezenet1_1"})


def siblings_long(names: Sequence[str]) -> list[Any]:
    """Parameters of a test, of which the siblings of a network in the default set are marked as long."""
    return [pytest.param(name, marks=pytest.mark.long) if name in SIBLINGS else name for name in names]
