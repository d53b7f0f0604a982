"""Status of a training on Ray Train: written by the first worker, read by the driver through a small actor.

Lines that workers print would reach the user through Ray, with process IDs, twice or late.
"""

from typing import Any

import ray
from ray.exceptions import RayError

from attn.training.status import LocalStatus, Status

READ_TIMEOUT_S = 5.0


class RemoteStatus:
    """Status of a training with Ray Train workers, stored in an actor that needs no CPU."""

    def __init__(self) -> None:
        self.actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(LocalStatus).remote()

    def update(self, **changes: Any) -> None:
        """Replace fields of the status, without waiting."""
        self.actor.update.remote(**changes)

    def read(self) -> Status:
        """Return the status; an empty one if the actor was lost with its node, which must not end a training."""
        try:
            status: Status = ray.get(self.actor.read.remote(), timeout=READ_TIMEOUT_S)
        except RayError:
            return Status()
        return status
