"""Named places in a run at which a harness may break it on purpose, to prove that nothing is lost or doubled.

In ordinary use reaching one does nothing. A harness is a module with a function of the same name and arguments,
found through PYTHONPATH by the name that ATTN_FAULT_HARNESS holds; tests/faults has one.
"""

import importlib
import os
from typing import Literal

_HARNESS = os.environ.get("ATTN_FAULT_HARNESS")

FaultPoint = Literal["decode", "maps", "write", "commit", "committed", "dropped"]
"""decode: a task begins a video. maps: an actor begins a batch. write: a writer has all rows of a video. commit: a part
is written and about to appear under its name. committed: it has. dropped: it never will; its videos come again."""


def reach(point: FaultPoint, video_id: str) -> None:
    """Says that this process has come to a point.

    Args:
        point: which.
        video_id: at hand; of several the first.
    """
    if _HARNESS:
        importlib.import_module(_HARNESS).reach(point, video_id)
