"""Shapes and types in signatures are executed: every call of a kernel in the tests checks them."""

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["attn.maps", "attn.models", "attn.eval"], "beartype.beartype")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real clips, images and weights; tests that need it are skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("real data not present")
    return REAL_DATA
