"""`--help` answers at once, without importing slow libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path for folder in ("jobs", "tune") for path in (ROOT / folder).glob("*.py") if path.name != "spaces.py"
)
HEAVY = ("torch", "ray", "numpy", "pyarrow", "pandas", "fsspec", "av", "PIL")

SHOW = """
import pathlib, runpy, sys
sys.argv = [sys.argv[1], "--help"]
sys.path[0] = str(pathlib.Path(sys.argv[0]).parent)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    heavy = [name for name in {heavy} if name in sys.modules]
    sys.exit(f"loaded: {{heavy}}" if heavy else end.code)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_loads_nothing_heavy(script, tmp_path):
    command = [sys.executable, "-c", SHOW.format(heavy=HEAVY), str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert ("--store" if script.name in ("verify.py", "explore.py") else "--out") in done.stdout
