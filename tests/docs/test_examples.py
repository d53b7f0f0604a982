"""Examples in docstrings of attention maps, losses and metrics: they run, and show what they say."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

PACKAGES = ("maps", "losses", "eval")
MODULES = [
    f"attn.{package}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(importlib.import_module(f"attn.{package}").__path__)
]
WITH_EXAMPLES = [name for name in MODULES if ">>> " in inspect.getsource(importlib.import_module(name))]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name), extraglobs={"np": np, "torch": torch})
    assert tried.attempted > 0
    assert tried.failed == 0


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("attn.losses.")])
def test_every_loss_has_an_example(name: str) -> None:
    functions = inspect.getmembers(importlib.import_module(name), inspect.isfunction)
    public = [function for title, function in functions if function.__module__ == name and title[0] != "_"]
    assert public
    assert [function.__name__ for function in public if ">>> " not in (function.__doc__ or "")] == []
