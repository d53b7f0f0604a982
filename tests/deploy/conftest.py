"""The cluster files as a test changes them, and Ray's own preparation and schema for them, which need no network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

Config = dict[str, Any]
Read = Callable[[str], Any]


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def read() -> Read:
    """`read("cluster.yaml")`: what stands in a file of the project, to change at will."""
    return lambda name: yaml.safe_load((ROOT / name).read_text())


@pytest.fixture
def prepare() -> Callable[[Config], Config]:
    """What `ray up` does with a cluster file before it speaks to a cloud: defaults, limits, Ray's schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    def run(config: Config) -> Config:
        prepared = prepare_config(config)
        validate_config(prepared)
        return prepared

    return run


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray up` is typed in the project's folder."""
    monkeypatch.chdir(ROOT)
