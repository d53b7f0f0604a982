"""Step of a plan: one call of a job."""

import dataclasses
from typing import Any

FRAMES = "frames"
"""Name of the step that produces the frame store, which other steps may extend."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a job.

    Attributes:
        name: path of the step's output, relative to the output folder.
        job: name of the job and of its script.
        options: options of the job.
        needs: names of the steps that must finish first.
    """

    name: str
    job: str
    options: Any
    needs: tuple[str, ...] = ()
