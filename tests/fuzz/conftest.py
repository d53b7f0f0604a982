"""The campaign is a script: its modules are found beside it, here as there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
