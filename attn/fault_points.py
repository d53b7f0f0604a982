"""Named points of a run where a test harness injects faults, to prove that no row is lost or duplicated.

In normal use, reaching a point does nothing. A harness is a module with a function `reach` of the same arguments. Its
name is set in the environment variable ATTN_FAULT_HARNESS, and it is found through PYTHONPATH; tests/faults has one.
"""

import importlib
import os
from typing import Literal

_HARNESS = os.environ.get("ATTN_FAULT_HARNESS")

FaultPoint = Literal["decode", "maps", "write", "commit", "committed", "dropped"]
"""Points in the order in which a run reaches them.

decode: a task starts a video. maps: an actor starts a batch. write: a writer has all rows of a video. commit: a part is
written and about to appear under its name. committed: the part has appeared. dropped: the part is discarded, and its
videos are computed again.
"""


def reach(point: FaultPoint, video_id: str) -> None:
    """Report that this process has reached a point.

    Args:
        point: name of the point.
        video_id: ID of the current video, or of the first of several.
    """
    if _HARNESS:
        importlib.import_module(_HARNESS).reach(point, video_id)
