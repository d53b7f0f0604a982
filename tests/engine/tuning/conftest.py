import importlib.util
from pathlib import Path

import pytest

SPACES = Path(__file__).parents[3] / "tune" / "spaces.py"


@pytest.fixture(scope="session")
def spaces():
    """Predefined search spaces; loaded from a path, because `tune/` is a folder of scripts, not a package."""
    found = importlib.util.spec_from_file_location("spaces", SPACES)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.SPACES
